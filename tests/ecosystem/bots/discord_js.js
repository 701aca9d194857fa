// The bot in discord.js 14. Its one knob is `rest.api`: where Discord is.
const {
  ActionRowBuilder, AttachmentBuilder, ButtonBuilder, ButtonStyle, Client, Events, GatewayIntentBits, ModalBuilder, REST,
  Routes, SlashCommandBuilder, StringSelectMenuBuilder, TextInputBuilder, TextInputStyle,
} = require('discord.js');

const { SANDBOX_BOT_TOKEN: token, SANDBOX_BOT_API: address, GUILD_ID: home } = process.env;
const api = address.replace(/\/v10$/, '');
const colours = ['red', 'green', 'blue'];

const client = new Client({
  rest: { api },
  intents: [
    GatewayIntentBits.Guilds, GatewayIntentBits.GuildMessages, GatewayIntentBits.MessageContent,
    GatewayIntentBits.GuildMembers, GatewayIntentBits.GuildMessageReactions, GatewayIntentBits.GuildWebhooks,
  ],
});

async function register() {
  const rest = new REST({ api }).setToken(token);
  const named = (name) => new SlashCommandBuilder().setName(name).setDescription(`The command ${name}`);
  const colour = named('colour').addStringOption((option) =>
    option.setName('name').setDescription('Which').setRequired(true).setAutocomplete(true));
  const commands = [...['ping', 'slow', 'edit', 'more', 'menu'].map(named), colour];
  await rest.put(Routes.applicationCommands(client.user.id), { body: commands });
  await rest.put(Routes.applicationGuildCommands(client.user.id, home), { body: [named('here')] });
  console.log('registered');
}

client.once(Events.ClientReady, async () => {
  console.log('ready', client.user.username, ...client.guilds.cache.map((guild) => guild.name));
  await register();
});

const answers = {
  async hello(message) {
    await message.reply(`hello ${message.author.username}`);
    console.log('message');
  },
  async '!upload'(message) {
    const note = new AttachmentBuilder(Buffer.from('made in the sandbox'), { name: 'note.txt' });
    await message.channel.send({ content: 'a file', files: [note] });
    console.log('upload');
  },
  async '!members'(message) {
    const found = await message.guild.members.fetch();
    const people = found.filter((member) => !member.user.bot).map((member) => member.user.username);
    console.log('members', found.size);
    await message.channel.send(`members: ${people.sort().join(' ')}`);
  },
  async '!react'(message) {
    await message.react('👍');
  },
  async '!thread'(message) {
    const talk = await message.startThread({ name: 'talk' });
    await talk.send('hi in the thread');
    console.log('thread', talk.name);
  },
  async '!webhook'(message) {
    const echo = await message.channel.createWebhook({ name: 'Echo' });
    await echo.send('said by the webhook');
    console.log('webhook', echo.name);
  },
};

client.on(Events.MessageCreate, async (message) => {
  if (!message.author.bot && answers[message.content]) await answers[message.content](message);
});

client.on(Events.MessageReactionAdd, async (reaction, user) => {
  if (user.id === client.user.id) return;
  console.log('reaction', reaction.emoji.name);
  await reaction.message.channel.send(`${user.username} reacted with ${reaction.emoji.name}`);
});

const commands = {
  ping: (interaction) => interaction.reply('pong'),
  here: (interaction) => interaction.reply(`pong in ${interaction.guild.name}`),
  async slow(interaction) {
    await interaction.deferReply();
    await interaction.editReply('thought about it');
  },
  async edit(interaction) {
    await interaction.reply('before');
    await interaction.editReply('after');
  },
  async more(interaction) {
    await interaction.reply('first');
    await interaction.followUp('second');
  },
  colour: (interaction) => interaction.reply(`${interaction.options.getString('name')} it is`),
  menu: (interaction) => interaction.reply({ content: 'choose', components: menu() }),
};

function menu() {
  const button = (label) =>
    new ButtonBuilder().setCustomId(label.toLowerCase()).setLabel(label).setStyle(ButtonStyle.Secondary);
  const options = colours.map((value) => ({ label: value, value }));
  const select = new StringSelectMenuBuilder().setCustomId('choose').setPlaceholder('Choose').addOptions(options);
  return [
    new ActionRowBuilder().addComponents(button('Press'), button('Form')),
    new ActionRowBuilder().addComponents(select),
  ];
}

function form() {
  const name = new TextInputBuilder().setCustomId('name').setLabel('Name').setStyle(TextInputStyle.Short);
  return new ModalBuilder().setCustomId('form').setTitle('Who are you?')
    .addComponents(new ActionRowBuilder().addComponents(name));
}

client.on(Events.InteractionCreate, async (interaction) => {
  if (interaction.isChatInputCommand()) await commands[interaction.commandName](interaction);
  else if (interaction.isAutocomplete()) {
    const typed = interaction.options.getFocused();
    const proposed = colours.filter((each) => each.startsWith(typed));
    await interaction.respond(proposed.map((each) => ({ name: each, value: each })));
  } else if (interaction.isStringSelectMenu()) await interaction.reply(`chose ${interaction.values[0]}`);
  else if (interaction.isModalSubmit()) await interaction.reply(`hello ${interaction.fields.getTextInputValue('name')}`);
  else if (interaction.customId === 'form') await interaction.showModal(form());
  else if (interaction.isButton()) await interaction.update(`pressed by ${interaction.user.username}`);
});

process.on('unhandledRejection', (error) => console.error(error));
client.login(token);
