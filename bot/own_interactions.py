"""Which interactions are with the bot itself: the commands that it has registered, and what it has signed.

Everything else is a sandbox worker's, whatever it is called: a worker may use any custom id, and a server may have
commands of our names.
"""

from __future__ import annotations

from bot.custom_ids import COMPONENT_PREFIX, CustomIds
from bot.own_commands import OwnCommands
from bot.routing.dispatch import Dispatch, InteractionKind

_CHAT_INPUT = 1
_OF_COMMANDS = (InteractionKind.COMMAND, InteractionKind.AUTOCOMPLETE)


class OwnInteractions:
    """An `OwnInteractions` of the router's."""

    def __init__(self, commands: OwnCommands, custom_ids: CustomIds) -> None:
        self._commands, self._custom_ids = commands, custom_ids

    async def prepare(self, dispatch: Dispatch) -> None:
        """Before `include` is asked, which cannot wait: what may have been signed with another bot's key is found out,
        in a bounded time."""
        custom_id = dispatch.interaction_data.custom_id
        if custom_id and custom_id.startswith(COMPONENT_PREFIX):
            await self._custom_ids.prepare(custom_id, dispatch.channel_id)

    def include(self, dispatch: Dispatch) -> bool:
        """Whether it is with the bot itself."""
        if dispatch.interaction_kind in _OF_COMMANDS:
            return self._is_own_command(dispatch)
        custom_id = dispatch.interaction_data.custom_id or ""
        return custom_id.startswith(COMPONENT_PREFIX) and self._is_own_component(dispatch, custom_id)

    def _is_own_command(self, dispatch: Dispatch) -> bool:
        """Ours are slash commands of the whole application, which name no server that they belong to."""
        data = dispatch.interaction_data
        if data.type != _CHAT_INPUT or data.guild_id is not None:
            return False
        return self._commands.include(data.name or "", data.command_id)

    def _is_own_component(self, dispatch: Dispatch, custom_id: str) -> bool:
        """In a direct message, which goes to no sandbox, the bot also answers to what is not its own."""
        if dispatch.guild_id is None:
            return True
        return self._custom_ids.is_own(custom_id, dispatch.channel_id, dispatch.message_id)
