"""Invites: links into a guild."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from secrets import choice
from string import ascii_letters, digits

from local_discord.errors import unknown
from local_discord.rules.permissions import BITS
from local_discord.wire import Json
from local_discord.world.channels import Channel
from local_discord.world.core import Core
from local_discord.world.users import User

_LETTERS = ascii_letters + digits


@dataclass(eq=False)
class Invite:
    """To one channel. 0 seconds is for ever, and 0 uses are any number. It expires when the clock is moved."""

    channel: Channel
    inviter: User
    max_age_s: int = 86_400
    max_uses: int = 0
    temporary: bool = False
    uses: int = 0
    created_at: str = ""
    """Told when it is made."""
    code: str = field(default_factory=lambda: "".join(choice(_LETTERS) for _ in range(10)))

    def payload(self) -> Json:
        """As everybody sees it."""
        guild = self.channel.guild
        assert guild is not None
        about: Json = {"id": str(guild.id), "name": guild.name, "icon": None, "features": [], "verification_level": 0}
        about |= dict.fromkeys(("splash", "banner", "description", "vanity_url_code")) | {
            "nsfw_level": 0,
            "nsfw": False,
        }
        about["premium_subscription_count"] = 0
        return {
            "type": 0,
            "code": self.code,
            "guild": about,
            "guild_id": str(guild.id),
            "channel": {"id": str(self.channel.id), "type": self.channel.kind, "name": self.channel.name},
            "inviter": self.inviter.payload(),
            "expires_at": self.expires_at.isoformat() if self.expires_at else None,
        }

    def full_payload(self) -> Json:
        """As whoever manages the channel sees it."""
        return self.payload() | {
            "uses": self.uses,
            "max_uses": self.max_uses,
            "max_age": self.max_age_s,
            "temporary": self.temporary,
            "created_at": self.created_at,
        }

    @property
    def expires_at(self) -> datetime | None:
        """None for one that is good for ever."""
        if not self.max_age_s:
            return None
        return datetime.fromisoformat(self.created_at) + timedelta(seconds=self.max_age_s)


class Invites:
    """Those of every guild, by code."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._by_code: dict[str, Invite] = {}

    def create(self, invite: Invite, *, unique: bool) -> Invite:
        """One that is just like it, unless a unique one is wanted."""
        alike = (one for one in self.listing(invite.channel) if _key(one) == _key(invite))
        if not unique and (earlier := next(alike, None)) is not None:
            return earlier
        invite.created_at = self._core.clock.iso()
        self._by_code[invite.code] = invite
        told = {"channel_id": str(invite.channel.id), **invite.full_payload()}
        self._tell(invite, "INVITE_CREATE", {key: told[key] for key in told if key not in ("guild", "channel")})
        return invite

    def use(self, invite: Invite) -> None:
        """Somebody has come by it; the last of its uses ends it."""
        invite.uses += 1
        if invite.max_uses and invite.uses >= invite.max_uses:
            self.delete(invite)

    def get(self, code: str) -> Invite:
        """“Unknown Invite” for a code that leads nowhere."""
        if (invite := self._by_code.get(code)) is None:
            raise unknown("Invite")
        return invite

    def listing(self, *channels: Channel) -> list[Invite]:
        """Those to these channels."""
        return [invite for invite in self._by_code.values() if invite.channel in channels]

    def delete_expired(self) -> None:
        """Those whose time is over."""
        now = self._core.clock.now()
        for invite in [one for one in self._by_code.values() if one.expires_at is not None and one.expires_at <= now]:
            self.delete(invite)

    def delete(self, invite: Invite) -> None:
        """It leads nowhere from now on."""
        del self._by_code[invite.code]
        channel = invite.channel
        told = {"channel_id": str(channel.id), "guild_id": str(channel.guild_id), "code": invite.code}
        self._tell(invite, "INVITE_DELETE", told)

    def _tell(self, invite: Invite, event: str, told: Json) -> None:
        """Only a bot that manages the channel hears of its invites."""
        if invite.channel.permissions_of(self._core.bot) & BITS["manage_channels"]:
            invite.channel.emit(event, told)


def _key(invite: Invite) -> tuple[object, ...]:
    return invite.inviter.id, invite.max_age_s, invite.max_uses, invite.temporary
