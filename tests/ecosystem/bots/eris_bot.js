// The bot in eris, without any knob: it can't be told where Discord is.
const Eris = require('eris');

const { DISCORD_TOKEN: token, GUILD_ID: home } = process.env;
const { ComponentTypes, InteractionTypes } = Eris.Constants;
const colours = ['red', 'green', 'blue'];

const client = new Eris(token, {
  intents: ['guilds', 'guildMessages', 'messageContent', 'guildMembers', 'guildMessageReactions', 'guildWebhooks'],
});

async function register() {
  const named = (name) => ({ name, description: `The command ${name}`, type: 1 });
  const option = { name: 'name', description: 'Which', type: 3, required: true, autocomplete: true };
  const commands = [...['ping', 'slow', 'edit', 'more', 'menu'].map(named), { ...named('colour'), options: [option] }];
  await client.bulkEditCommands(commands);
  await client.bulkEditGuildCommands(home, [named('here')]);
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
    const note = { name: 'note.txt', file: Buffer.from('made in the sandbox') };
    await message.channel.createMessage('a file', note);
    console.log('upload');
  },
  async '!members'(message) {
    const found = await message.channel.guild.fetchMembers();
    const people = found.filter((member) => !member.bot).map((member) => member.username);
    console.log('members', found.length);
    await message.channel.createMessage(`members: ${people.sort().join(' ')}`);
  },
  async '!react'(message) {
    await message.addReaction('👍');
  },
  async '!thread'(message) {
    const talk = await message.createThreadWithMessage({ name: 'talk', autoArchiveDuration: 60 });
    await talk.createMessage('hi in the thread');
    console.log('thread', talk.name);
  },
  async '!webhook'(message) {
    const echo = await client.createChannelWebhook(message.channel.id, { name: 'Echo' });
    await client.executeWebhook(echo.id, echo.token, { content: 'said by the webhook' });
    console.log('webhook', echo.name);
  },
};

client.on('messageCreate', async (message) => {
  if (!message.author.bot && answers[message.content]) await answers[message.content](message);
});

client.on('messageReactionAdd', async (message, emoji, reactor) => {
  if (reactor.id === client.user.id) return;
  console.log('reaction', emoji.name);
  await client.createMessage(message.channel.id, `${reactor.username} reacted with ${emoji.name}`);
});

const commands = {
  ping: (interaction) => interaction.createMessage('pong'),
  here: (interaction) => interaction.createMessage(`pong in ${interaction.channel.guild.name}`),
  async slow(interaction) {
    await interaction.defer();
    await interaction.editOriginalMessage('thought about it');
  },
  async edit(interaction) {
    await interaction.createMessage('before');
    await interaction.editOriginalMessage('after');
  },
  async more(interaction) {
    await interaction.createMessage('first');
    await interaction.createFollowup('second');
  },
  colour: (interaction) => interaction.createMessage(`${interaction.data.options[0].value} it is`),
  menu: (interaction) => interaction.createMessage({ content: 'choose', components: menu() }),
};

function menu() {
  const button = (label) => ({ type: ComponentTypes.BUTTON, style: 2, label, custom_id: label.toLowerCase() });
  const options = colours.map((value) => ({ label: value, value }));
  const select = { type: ComponentTypes.SELECT_MENU, custom_id: 'choose', placeholder: 'Choose', options };
  return [{ type: 1, components: [button('Press'), button('Form')] }, { type: 1, components: [select] }];
}

function form() {
  const name = { type: 4, custom_id: 'name', label: 'Name', style: 1 };
  return { title: 'Who are you?', custom_id: 'form', components: [{ type: 1, components: [name] }] };
}

client.on('interactionCreate', async (interaction) => {
  const { data, type } = interaction;
  const { username } = interaction.member ?? interaction.user;
  if (type === InteractionTypes.APPLICATION_COMMAND) await commands[data.name](interaction);
  else if (type === InteractionTypes.APPLICATION_COMMAND_AUTOCOMPLETE) {
    const proposed = colours.filter((each) => each.startsWith(data.options[0].value));
    await interaction.result(proposed.map((each) => ({ name: each, value: each })));
  } else if (type === InteractionTypes.MODAL_SUBMIT) {
    await interaction.createMessage(`hello ${data.components[0].components[0].value}`);
  } else if (data.component_type === ComponentTypes.SELECT_MENU) await interaction.createMessage(`chose ${data.values[0]}`);
  else if (data.custom_id === 'form') await interaction.createModal(form());
  else await interaction.editParent({ content: `pressed by ${username}` });
});

client.on('error', (error) => console.error(error));
process.on('unhandledRejection', (error) => console.error(error));
client.connect();
