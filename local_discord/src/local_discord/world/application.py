"""The bot's application, as its owners see it."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from dataclasses import dataclass, field

from local_discord.wire import Json
from local_discord.world.users import User

_ORDINARY: Json = {
    "description": "",
    "custom_install_url": None,
    "role_connections_verification_url": None,
    "interactions_endpoint_url": None,
    "integration_types_config": {"0": {}},
    "event_webhooks_url": None,
    "event_webhooks_status": 1,
    "event_webhooks_types": [],
    "tags": [],
}


@dataclass
class Application:
    """Belongs to one person, or, as soon as there are members, to a team that this person owns."""

    id: int
    owner: User
    team: dict[User, bool] = field(default_factory=dict)
    """Its members; False for those who are invited and have not accepted."""
    details: Json = field(default_factory=lambda: dict(_ORDINARY))
    """What can be set on it, by the API's names."""
    role_connections: list[Json] = field(default_factory=list)
    """What it tells of a person when a role asks for it."""

    def team_payload(self) -> Json | None:
        """None while it belongs to one person alone."""
        if not self.team:
            return None
        return {
            "id": str(self.id),
            "icon": None,
            "name": "team",
            "owner_user_id": str(self.owner.id),
            "members": [self._member(user, accepted=accepted) for user, accepted in self.team.items()],
        }

    def _member(self, user: User, *, accepted: bool) -> Json:
        return {
            "user": user.payload(),
            "team_id": str(self.id),
            "membership_state": 2 if accepted else 1,
            "role": "developer",
            "permissions": ["*"],
        }


def token_of(application_id: int, secret: str = "discord" * 4) -> str:
    """As libraries take tokens apart: the application, a time, and what would be secret if this were Discord."""
    named = urlsafe_b64encode(str(application_id).encode()).decode().rstrip("=")
    return f"{named}.local_.{secret}"
