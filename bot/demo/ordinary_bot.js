// A discord.js bot as anybody writes one: only `rest.api`, which says where Discord is, tells of a sandbox.

const { Client, Events, GatewayIntentBits } = require("discord.js");

const api = process.env.SANDBOX_BOT_API.replace(/\/v10$/, "");
const intents = [GatewayIntentBits.Guilds];
const client = new Client({ rest: { api }, intents });

client.once(Events.ClientReady, async () => {
  const hello = { name: "hello", description: "Says hello" };
  await client.application.commands.set([hello]);
  for (const guild of client.guilds.cache.values()) {
    const channel = guild.channels.cache.find((one) => one.isTextBased());
    await channel.send(`at home in ${guild.name}`);
  }
});
client.on(Events.InteractionCreate, async (interaction) => {
  await interaction.reply(`hello ${interaction.user.username}`);
});

client.login(process.env.SANDBOX_BOT_TOKEN);
