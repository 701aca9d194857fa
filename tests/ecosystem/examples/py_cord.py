"""What a first bot in py-cord does: prefix commands, slash commands, a menu, views, a modal, roles by reaction."""

import os

import discord
from discord.ext import commands

intents = discord.Intents.default()
intents.members = True
intents.message_content = True
bot = commands.Bot(command_prefix="!", intents=intents)


class Counter(discord.ui.View):
    @discord.ui.button(label="0", style=discord.ButtonStyle.red)
    async def count(self, button: discord.ui.Button, interaction: discord.Interaction):
        button.label = str(int(button.label) + 1)
        await interaction.response.edit_message(view=self)


class Feedback(discord.ui.Modal):
    def __init__(self):
        super().__init__(
            discord.ui.InputText(label="Name"),
            discord.ui.InputText(label="What do you think?", style=discord.InputTextStyle.long, required=False),
            title="Feedback",
        )

    async def callback(self, interaction: discord.Interaction):
        await interaction.response.send_message(f"Thanks, {self.children[0].value}!", ephemeral=True)


@bot.event
async def on_member_join(member):
    await member.guild.system_channel.send(f"Welcome {member.mention} to {member.guild.name}!")


@bot.event
async def on_raw_reaction_add(payload):
    if str(payload.emoji) == "🔴":
        guild = bot.get_guild(payload.guild_id)
        await payload.member.add_roles(discord.utils.get(guild.roles, name="red"), reason="asked for it")


@bot.command()
async def add(ctx, left: int, right: int):
    await ctx.send(left + right)


@bot.command()
async def edit(ctx):
    message = await ctx.send("10")
    await message.edit(content="40")


@bot.command()
async def guess(ctx):
    await ctx.send("Guess a number between 1 and 10")
    answer = await bot.wait_for("message", check=lambda message: message.author == ctx.author, timeout=30)
    await ctx.reply("Right!" if answer.content == "7" else "Wrong!")


@bot.command()
async def ban(ctx, member: discord.Member):
    try:
        await member.ban(reason="asked for")
    except discord.Forbidden as refused:
        await ctx.send(f"I may not: {refused.code}")


@bot.command()
async def about(ctx):
    await ctx.send(embed=discord.Embed(title="About", colour=discord.Colour.blurple()))


@bot.slash_command(name="add", description="Adds two numbers")
async def slash_add(ctx: discord.ApplicationContext, left: int, right: int):
    await ctx.respond(f"{left} + {right} = {left + right}")


@bot.slash_command(description="Counts")
async def counter(ctx: discord.ApplicationContext):
    await ctx.respond("Press", view=Counter())


@bot.slash_command(description="Tell us")
async def feedback(ctx: discord.ApplicationContext):
    await ctx.send_modal(Feedback())


@bot.message_command(name="Report")
async def report(ctx: discord.ApplicationContext, message: discord.Message):
    await ctx.respond(f"Reported what {message.author.name} wrote", ephemeral=True)


bot.run(os.environ["DISCORD_TOKEN"])
