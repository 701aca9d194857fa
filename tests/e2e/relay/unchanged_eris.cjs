// An eris bot that has never heard of sandboxes. Says on standard output what happens to it, line by line.
const Eris = require("eris");

const client = new Eris(`Bot ${process.env.DISCORD_TOKEN}`, {
  intents: ["guilds", "guildMessages", "messageContent"],
});

client.on("ready", () => {
  const names = client.guilds.map((guild) => guild.name.replaceAll(" ", "_"));
  console.log("ready", client.user.username, ...names.sort());
});
client.on("messageCreate", async (message) => {
  if (message.author.bot) return;
  console.log("message", message.channel.guild.name, message.content);
  await client.createMessage(message.channel.id, `echo ${message.content}`);
});
client.on("error", (error) => console.log("error", error.message));
client.connect();
