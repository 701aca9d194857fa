// What a first bot in discord.js does: commands in messages, slash commands, a menu, a button, a modal, roles by reaction.
const {
  ActionRowBuilder, ApplicationCommandType, ButtonBuilder, ButtonStyle, Client, ContextMenuCommandBuilder, DiscordAPIError,
  EmbedBuilder, Events, GatewayIntentBits, MessageFlags, ModalBuilder, Partials, REST, Routes, SlashCommandBuilder,
  TextInputBuilder, TextInputStyle,
} = require('discord.js');

const token = process.env.DISCORD_TOKEN;
const client = new Client({
  intents: [
    GatewayIntentBits.Guilds, GatewayIntentBits.GuildMembers, GatewayIntentBits.GuildMessages,
    GatewayIntentBits.MessageContent, GatewayIntentBits.GuildMessageReactions,
  ],
  partials: [Partials.Message, Partials.Reaction],
});

const number = (name, about) => (option) => option.setName(name).setDescription(about).setRequired(true);
const commands = [
  new SlashCommandBuilder().setName('add').setDescription('Adds two numbers')
    .addIntegerOption(number('left', 'The first one')).addIntegerOption(number('right', 'The second one')),
  new SlashCommandBuilder().setName('counter').setDescription('Counts'),
  new SlashCommandBuilder().setName('feedback').setDescription('Tell us'),
  new ContextMenuCommandBuilder().setName('Report').setType(ApplicationCommandType.Message),
];

client.once(Events.ClientReady, async () => {
  const rest = new REST().setToken(token);
  await rest.put(Routes.applicationCommands(client.user.id), { body: commands.map((command) => command.toJSON()) });
});

client.on(Events.GuildMemberAdd, (member) =>
  member.guild.systemChannel.send(`Welcome ${member} to ${member.guild.name}!`));

client.on(Events.MessageReactionAdd, async (reaction, user) => {
  if (reaction.emoji.name !== '🔴') return;
  const { guild } = reaction.message;
  const member = await guild.members.fetch(user.id);
  await member.roles.add(guild.roles.cache.find((role) => role.name === 'red'), 'asked for it');
});

const answers = {
  add: (message, left, right) => message.channel.send(String(Number(left) + Number(right))),
  async edit(message) {
    const sent = await message.channel.send('10');
    await sent.edit('40');
  },
  async guess(message) {
    await message.channel.send('Guess a number between 1 and 10');
    const filter = (other) => other.author.id === message.author.id;
    const found = await message.channel.awaitMessages({ filter, max: 1, time: 30_000 });
    await message.reply(found.first().content === '7' ? 'Right!' : 'Wrong!');
  },
  async ban(message) {
    try {
      await message.guild.members.ban(message.mentions.users.first(), { reason: 'asked for' });
    } catch (error) {
      if (!(error instanceof DiscordAPIError)) throw error;
      await message.channel.send(`I may not: ${error.code}`);
    }
  },
  about: (message) =>
    message.channel.send({ embeds: [new EmbedBuilder().setTitle('About').setColor('Blurple')] }),
};

client.on(Events.MessageCreate, async (message) => {
  const [name, ...rest] = message.content.slice(1).split(' ');
  if (message.content.startsWith('!') && Object.hasOwn(answers, name)) await answers[name](message, ...rest);
});

const counter = (count) => new ActionRowBuilder().addComponents(
  new ButtonBuilder().setCustomId('count').setLabel(String(count)).setStyle(ButtonStyle.Danger));
const field = (id, label, style) =>
  new ActionRowBuilder().addComponents(new TextInputBuilder().setCustomId(id).setLabel(label).setStyle(style));

client.on(Events.InteractionCreate, async (interaction) => {
  if (interaction.isChatInputCommand() && interaction.commandName === 'add') {
    const [left, right] = ['left', 'right'].map((name) => interaction.options.getInteger(name));
    await interaction.reply(`${left} + ${right} = ${left + right}`);
  } else if (interaction.isChatInputCommand() && interaction.commandName === 'counter') {
    await interaction.reply({ content: 'Press', components: [counter(0)] });
  } else if (interaction.isChatInputCommand()) {
    const text = field('text', 'What do you think?', TextInputStyle.Paragraph);
    text.components[0].setRequired(false);
    await interaction.showModal(new ModalBuilder().setCustomId('feedback').setTitle('Feedback')
      .addComponents(field('name', 'Name', TextInputStyle.Short), text));
  } else if (interaction.isMessageContextMenuCommand()) {
    const content = `Reported what ${interaction.targetMessage.author.username} wrote`;
    await interaction.reply({ content, flags: MessageFlags.Ephemeral });
  } else if (interaction.isButton()) {
    await interaction.update({ components: [counter(Number(interaction.component.label) + 1)] });
  } else if (interaction.isModalSubmit()) {
    const content = `Thanks, ${interaction.fields.getTextInputValue('name')}!`;
    await interaction.reply({ content, flags: MessageFlags.Ephemeral });
  }
});

client.login(token);
