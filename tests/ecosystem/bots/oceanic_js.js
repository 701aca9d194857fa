// The bot in oceanic.js. Its one knob is `rest.baseURL`: where Discord is.
const {
  ApplicationCommandOptionTypes, ApplicationCommandTypes, ButtonStyles, Client, ComponentTypes, InteractionTypes,
  TextInputStyles,
} = require('oceanic.js');

const { SANDBOX_BOT_TOKEN: token, SANDBOX_BOT_API: baseURL, GUILD_ID: home } = process.env;
const colours = ['red', 'green', 'blue'];

const client = new Client({
  auth: `Bot ${token}`,
  rest: { baseURL },
  gateway: {
    intents: ['GUILDS', 'GUILD_MESSAGES', 'MESSAGE_CONTENT', 'GUILD_MEMBERS', 'GUILD_MESSAGE_REACTIONS', 'GUILD_WEBHOOKS'],
  },
});

async function register() {
  const named = (name) => ({ name, description: `The command ${name}`, type: ApplicationCommandTypes.CHAT_INPUT });
  const option = {
    name: 'name', description: 'Which', type: ApplicationCommandOptionTypes.STRING, required: true, autocomplete: true,
  };
  const commands = [...['ping', 'slow', 'edit', 'more', 'menu'].map(named), { ...named('colour'), options: [option] }];
  await client.application.bulkEditGlobalCommands(commands);
  await client.application.bulkEditGuildCommands(home, [named('here')]);
  console.log('registered');
}

client.once('ready', async () => {
  console.log('ready', client.user.username, ...client.guilds.map((guild) => guild.name));
  await register();
});

const answers = {
  async hello(message) {
    await message.channel.createMessage({
      content: `hello ${message.author.username}`, messageReference: { messageID: message.id },
    });
    console.log('message');
  },
  async '!upload'(message) {
    const files = [{ name: 'note.txt', contents: Buffer.from('made in the sandbox') }];
    await message.channel.createMessage({ content: 'a file', files });
    console.log('upload');
  },
  async '!members'(message) {
    const found = await message.guild.fetchMembers();
    const people = found.filter((member) => !member.bot).map((member) => member.username);
    console.log('members', found.length);
    await message.channel.createMessage({ content: `members: ${people.sort().join(' ')}` });
  },
  async '!react'(message) {
    await message.createReaction('👍');
  },
  async '!thread'(message) {
    const talk = await message.startThread({ name: 'talk' });
    await talk.createMessage({ content: 'hi in the thread' });
    console.log('thread', talk.name);
  },
  async '!webhook'(message) {
    const echo = await message.channel.createWebhook({ name: 'Echo' });
    await echo.execute({ content: 'said by the webhook' });
    console.log('webhook', echo.name);
  },
};

client.on('messageCreate', async (message) => {
  if (!message.author.bot && answers[message.content]) await answers[message.content](message);
});

client.on('messageReactionAdd', async (message, reactor, reaction) => {
  if (reactor.id === client.user.id) return;
  console.log('reaction', reaction.emoji.name);
  const content = `${reactor.username ?? reactor.user.username} reacted with ${reaction.emoji.name}`;
  await client.rest.channels.createMessage(message.channelID, { content });
});

const commands = {
  ping: (interaction) => interaction.createMessage({ content: 'pong' }),
  here: (interaction) => interaction.createMessage({ content: `pong in ${interaction.guild.name}` }),
  async slow(interaction) {
    await interaction.defer();
    await interaction.editOriginal({ content: 'thought about it' });
  },
  async edit(interaction) {
    await interaction.createMessage({ content: 'before' });
    await interaction.editOriginal({ content: 'after' });
  },
  async more(interaction) {
    await interaction.createMessage({ content: 'first' });
    await interaction.createFollowup({ content: 'second' });
  },
  colour: (interaction) =>
    interaction.createMessage({ content: `${interaction.data.options.getString('name', true)} it is` }),
  menu: (interaction) => interaction.createMessage({ content: 'choose', components: menu() }),
};

function menu() {
  const button = (label) =>
    ({ type: ComponentTypes.BUTTON, style: ButtonStyles.SECONDARY, label, customID: label.toLowerCase() });
  const options = colours.map((value) => ({ label: value, value }));
  const select = { type: ComponentTypes.STRING_SELECT, customID: 'choose', placeholder: 'Choose', options };
  return [
    { type: ComponentTypes.ACTION_ROW, components: [button('Press'), button('Form')] },
    { type: ComponentTypes.ACTION_ROW, components: [select] },
  ];
}

function form() {
  const name = { type: ComponentTypes.TEXT_INPUT, customID: 'name', label: 'Name', style: TextInputStyles.SHORT };
  return {
    title: 'Who are you?', customID: 'form', components: [{ type: ComponentTypes.ACTION_ROW, components: [name] }],
  };
}

client.on('interactionCreate', async (interaction) => {
  const { data, type } = interaction;
  if (type === InteractionTypes.APPLICATION_COMMAND) await commands[data.name](interaction);
  else if (type === InteractionTypes.APPLICATION_COMMAND_AUTOCOMPLETE) {
    const typed = data.options.getFocused().value;
    const proposed = colours.filter((each) => each.startsWith(typed));
    await interaction.result(proposed.map((each) => ({ name: each, value: each })));
  } else if (type === InteractionTypes.MODAL_SUBMIT) {
    await interaction.createMessage({ content: `hello ${data.components.getTextInput('name')}` });
  } else if (data.componentType === ComponentTypes.STRING_SELECT) {
    await interaction.createMessage({ content: `chose ${data.values.getStrings()[0]}` });
  } else if (data.customID === 'form') await interaction.createModal(form());
  else await interaction.editParent({ content: `pressed by ${interaction.user.username}` });
});

client.on('error', (error) => console.error(error));
process.on('unhandledRejection', (error) => console.error(error));
client.connect();
