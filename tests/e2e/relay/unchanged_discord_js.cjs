// A discord.js bot that has never heard of sandboxes. Says on standard output what happens to it, line by line.
const { Client, GatewayIntentBits } = require("discord.js");

const { Guilds, GuildMessages, MessageContent } = GatewayIntentBits;
const client = new Client({ intents: [Guilds, GuildMessages, MessageContent] });

client.once("clientReady", () => {
  const names = client.guilds.cache.map((guild) => guild.name.replaceAll(" ", "_"));
  console.log("ready", client.user.username, ...names.sort());
});
client.on("messageCreate", async (message) => {
  if (message.author.bot) return;
  console.log("message", message.guild.name, message.content);
  await message.channel.send(`echo ${message.content}`);
});
client.login(process.env.DISCORD_TOKEN);
