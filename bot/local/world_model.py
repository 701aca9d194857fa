"""What a file of a world says: people, servers, their roles, channels and members. Pure."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from local_discord.errors import ApiError
from local_discord.rules import channel_rules
from local_discord.rules.channel_rules import ANNOUNCEMENT, CATEGORY, FORUM, MEDIA, STAGE, TEXT, VOICE
from local_discord.rules.permissions import BITS

EVERYBODY = "@everyone"
KINDS = {
    "text": TEXT,
    "announcement": ANNOUNCEMENT,
    "category": CATEGORY,
    "voice": VOICE,
    "stage": STAGE,
    "forum": FORUM,
    "media": MEDIA,
}


def _known_permission(name: str) -> str:
    if name not in BITS:
        raise ValueError(f"Discord has no permission “{name}”")
    return name


Snowflake = Annotated[int, Field(ge=10**16, lt=2**63)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Reference = Name | Snowflake
"""A name, or the id where several have that name."""
Permissions = list[Annotated[str, AfterValidator(_known_permission)]]
Kind = Literal["text", "announcement", "category", "voice", "stage", "forum", "media"]


class Entry(BaseModel):
    """Has the same id each time, if one stands here."""

    model_config = ConfigDict(extra="forbid")

    id: Snowflake | None = None


class Bot(Entry):
    """The one bot, and which of the people owns its application; without a word the first. `token`: if it was reset."""

    name: Name = "bot"
    token: Name | None = None
    owner: Reference | None = None


class PersonEntry(Entry):
    """`dms_closed` people refuse the bot's direct messages."""

    name: Name
    locale: str = "en-US"
    dms_closed: bool = False


class RoleEntry(Entry):
    """Each stands above those before it; the name `@everyone` says what every member may do."""

    name: Name
    permissions: Permissions = []
    color: Annotated[int, Field(ge=0, le=0xFFFFFF)] = 0
    hoist: bool = False
    mentionable: bool = False


class OverwriteEntry(BaseModel):
    """What a channel grants to, and takes from, one role or member."""

    model_config = ConfigDict(extra="forbid")

    role: Reference | None = None
    member: Reference | None = None
    allow: Permissions = []
    deny: Permissions = []

    @model_validator(mode="after")
    def _is_of_one(self) -> Self:
        if (self.role is None) == (self.member is None):
            raise ValueError("either a role or a member is named")
        return self


class ChannelEntry(Entry):
    """What else can be set on a channel of its kind stands beside it, by the API's names: `topic`, `nsfw`."""

    model_config = ConfigDict(extra="allow")

    name: Name
    kind: Kind = "text"
    category: Reference | None = None
    overwrites: list[OverwriteEntry] = []

    @property
    def details(self) -> dict[str, Any]:
        """By the API's names."""
        return self.model_extra or {}

    @model_validator(mode="after")
    def _has_such_details(self) -> Self:
        known = channel_rules.details_of(KINDS[self.kind])
        if strange := self.details.keys() - known.keys():
            raise ValueError(f"a {self.kind} channel has no {', '.join(sorted(strange))}; it has {', '.join(known)}")
        try:
            channel_rules.changed_channel(self.details)
        except ApiError as refused:
            raise ValueError(f"Discord refuses {', '.join(refused.errors or ())}") from None
        return self


class MemberEntry(BaseModel):
    """One of the people, or the bot, which is in it anyway, to say which roles it has."""

    model_config = ConfigDict(extra="forbid")

    name: Reference
    nick: str | None = None
    roles: list[Reference] = []


class ServerEntry(Entry):
    """Its owner is a member, and so is the bot unless it says no."""

    name: Name
    owner: Reference
    bot: bool = True
    roles: list[RoleEntry] = []
    channels: list[ChannelEntry] = Field(default_factory=lambda: [ChannelEntry(name="general")])
    members: list[MemberEntry] = []


class WorldFile(BaseModel):
    """All of it."""

    model_config = ConfigDict(extra="forbid")

    bot: Bot = Bot()
    people: Annotated[list[PersonEntry], Field(min_length=1)]
    servers: list[ServerEntry] = []


def small_world() -> WorldFile:
    """For whoever brings none: Olga, whose application it is, Ada with a server, and Bob in it."""
    lab = ServerEntry(name="Ada's Lab", owner="ada", members=[MemberEntry(name="olga"), MemberEntry(name="bob")])
    return WorldFile(people=[PersonEntry(name=name) for name in ("olga", "ada", "bob")], servers=[lab])
