"""What a first bot in discord.py does: prefix commands, slash commands, a menu, views, a modal, roles by reaction."""

import os

import discord
from discord import app_commands
from discord.ext import commands

intents = discord.Intents.default()
intents.members = True
intents.message_content = True


class Counter(discord.ui.View):
    @discord.ui.button(label="0", style=discord.ButtonStyle.red)
    async def count(self, interaction: discord.Interaction, button: discord.ui.Button):
        button.label = str(int(button.label) + 1)
        await interaction.response.edit_message(view=self)


class Feedback(discord.ui.Modal, title="Feedback"):
    name = discord.ui.TextInput(label="Name")
    text = discord.ui.TextInput(label="What do you think?", style=discord.TextStyle.long, required=False)

    async def on_submit(self, interaction: discord.Interaction):
        await interaction.response.send_message(f"Thanks, {self.name.value}!", ephemeral=True)


class Bot(commands.Bot):
    async def setup_hook(self):
        await self.tree.sync()

    async def on_member_join(self, member):
        await member.guild.system_channel.send(f"Welcome {member.mention} to {member.guild.name}!")

    async def on_raw_reaction_add(self, payload):
        if str(payload.emoji) == "🔴":
            guild = self.get_guild(payload.guild_id)
            await payload.member.add_roles(discord.utils.get(guild.roles, name="red"), reason="asked for it")


bot = Bot(command_prefix="!", intents=intents)


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


@bot.tree.command(name="add", description="Adds two numbers")
@app_commands.describe(left="The first one", right="The second one")
async def slash_add(interaction: discord.Interaction, left: int, right: int):
    await interaction.response.send_message(f"{left} + {right} = {left + right}")


@bot.tree.command(description="Counts")
async def counter(interaction: discord.Interaction):
    await interaction.response.send_message("Press", view=Counter())


@bot.tree.command(description="Tell us")
async def feedback(interaction: discord.Interaction):
    await interaction.response.send_modal(Feedback())


@bot.tree.context_menu(name="Report")
async def report(interaction: discord.Interaction, message: discord.Message):
    await interaction.response.send_message(f"Reported what {message.author.name} wrote", ephemeral=True)


bot.run(os.environ["DISCORD_TOKEN"], log_level=30)
