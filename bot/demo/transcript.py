"""What a reader of the tour sees: who typed what where, what the bot answered, what arrived on which subject."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.syntax import Syntax
from rich.text import Text

from local_discord import Channel, Message, Person
from sandbox_worker import Event

_NARROWEST, _WIDEST = 80, 100
_TIMESTAMP = re.compile(r"<t:(\d+)(?::(\w))?>")
_MENTION = re.compile(r"<@!?(\d+)>")
_COLOURLESS = 0x5865F2
_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


class Transcript:
    """Draws to the terminal as it comes, and keeps everything for a picture. `people`: names by id, for mentions."""

    def __init__(self, people: dict[int, str] | None = None) -> None:
        self._width = max(_NARROWEST, min(shutil.get_terminal_size().columns, _WIDEST))
        self._console = Console(record=True, width=self._width, highlight=False, soft_wrap=False)
        self.people = people or {}

    def progress(self, text: str) -> None:
        """What is being started, before the first step."""
        self._console.print(f"[dim]· {escape(text)}[/dim]")

    def step(self, number: int, title: str) -> None:
        """The heading of a step; `number` counts from 1."""
        self._console.print()
        self._console.rule(f"[bold]{number}. {escape(title)}[/bold]", align="left", style="blue")

    def says(self, person: Person, channel: Channel | None, text: str) -> None:
        """Somebody writes or presses something; without a channel in a direct message to the bot."""
        where = f"{channel.guild.name} #{channel.name}" if channel and channel.guild else "direct message"
        self._console.print(f"[bold cyan]{escape(person.name)}[/] [dim]in {escape(where)}[/]")
        self._whole(Text(f"  {text}"))

    def shows(self, message: Message, reader: str, sender: str = "sandbox-bot") -> None:
        """A message of the bot, as its reader sees it."""
        parts: list[RenderableType] = []
        if message.content:
            parts.append(Text(self._plain(message.content)))
        colour = next((embed["color"] for embed in message.embeds if embed.get("color")), _COLOURLESS)
        for embed in message.embeds:
            parts.extend(self._embed(embed))
        parts.extend(Text(f"📎 {attachment.filename}", style="dim") for attachment in message.attachments)
        buttons = _buttons(message.components)
        if buttons:
            parts.append(Text("  ".join(f"[ {label} ]" for label in buttons), style="bold"))
        title = f"{sender} → {reader}" + (" (only visible to them)" if message.ephemeral else "")
        self._console.print(
            Panel(Group(*parts), title=title, title_align="left", style=f"#{colour:06x}", width=self._width - 4)
        )

    def arrives(self, subject: str, event: Event, sandbox: str) -> None:
        """An event that a sandbox's worker has received, the middle of it left out."""
        self._console.print(f"[green]⮕ NATS[/] [dim]worker of “{sandbox}”[/]")
        self._whole(Text(f"  {subject}"))
        text, content = event.raw.decode(), event.data.get("content")
        shown = text[:36] + (f" … {json.dumps({'content': content})[1:-1]} …" if content else " …")
        self._console.print(Text(f"  {shown}  ({len(event.raw)} bytes)", style="dim"))

    def code(self, path: Path) -> None:
        """A program in Python or JavaScript, whole but for what it says of itself."""
        program = path.read_text(encoding="utf-8").partition("\n\n")[2].rstrip()
        language = "javascript" if path.suffix == ".js" else "python"
        self._console.print(f"[dim]{path.name}[/]")
        self._whole(Syntax(program, language, theme="ansi_dark", background_color="default").highlight(program))

    def fact(self, text: str) -> None:
        """What was checked and is true."""
        self._console.print(f"[green]✓[/] {escape(text)}")

    def failure(self, text: str) -> None:
        """Why the step did not pass."""
        self._console.print(f"[bold red]✗ {escape(text)}[/]")

    def note(self, text: str) -> None:
        """A line as it is, without any markup."""
        self._console.print(escape(text))

    def command(self, text: str) -> None:
        """To be typed in a terminal."""
        self._whole(Text(f"  {text}"))

    def summary(self, passed: int, steps: int) -> None:
        """The last line, which scripts look for: `tour: 17/17 steps passed`."""
        self._console.print()
        style = "bold green" if passed == steps else "bold red"
        self._console.print(f"tour: {passed}/{steps} steps passed", style=style)

    def save_svg(self, path: Path) -> None:
        """All that was drawn so far, as a picture."""
        self._console.save_svg(str(path), title="sandbox-bot demo")

    def _whole(self, text: Text) -> None:
        """In one line however long, so that it can be copied."""
        self._console.print(text, soft_wrap=True)

    def _embed(self, embed: dict[str, Any]) -> list[RenderableType]:
        parts: list[RenderableType] = []
        fields = embed.get("fields", ())
        if title := embed.get("title"):
            parts.append(Text(self._plain(title), style="bold"))
        if description := embed.get("description"):
            parts.append(Text(self._plain(description), style="default"))
        parts.extend(Text.assemble((f"{field['name']}: ", "bold"), self._plain(field["value"])) for field in fields)
        if footer := embed.get("footer"):
            parts.append(Text(footer["text"], style="dim"))
        return parts

    def _plain(self, text: str) -> str:
        """Discord's markup as a terminal can show it."""
        text = _TIMESTAMP.sub(_time, text)
        text = _MENTION.sub(lambda found: "@" + self.people.get(int(found[1]), found[1]), text)
        return re.sub(r"```\w*\n?|`|\*\*", "", text).strip()


def _time(found: re.Match[str]) -> str:
    moment = datetime.fromtimestamp(int(found[1]), UTC)
    if found[2] != "R":
        return f"{moment:%-d %B %Y %H:%M} UTC"
    seconds = round((moment - datetime.now(UTC)).total_seconds())
    size, unit = next(((size, unit) for size, unit in _UNITS if abs(seconds) >= size), (1, "second"))
    count = round(abs(seconds) / size)
    named = f"{count} {unit}" + ("s" if count != 1 else "")
    return f"in {named}" if seconds > 0 else f"{named} ago"


def _buttons(rows: list[dict[str, Any]]) -> list[str]:
    return [button["label"] for row in rows for button in row.get("components", ()) if button.get("label")]
