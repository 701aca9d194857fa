"""Whether the relay is there and takes the token, asked once before anything is started."""

from __future__ import annotations

import ssl

import aiohttp

from sandbox_worker import constants
from sandbox_worker.environment import BotLogin
from sandbox_worker.errors import CertificateRefused, SandboxEnded, ServiceUnavailable, WrongEnvironment


async def check_relay(login: BotLogin, trust: ssl.SSLContext) -> None:
    """`ServiceUnavailable` if it does not answer, `WrongEnvironment` if that is no relay, `SandboxEnded` if it does not
    know the token."""
    timeout = aiohttp.ClientTimeout(total=constants.RELAY_CONNECT_TIMEOUT_S)
    try:
        connector = aiohttp.TCPConnector(ssl=trust)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            await _ask_address(session, login)
            await _ask_token(session, login)
    except aiohttp.InvalidURL:
        raise WrongEnvironment(f"SANDBOX_BOT_API is no address: {login.api}") from None
    except aiohttp.ClientConnectorCertificateError as error:
        raise CertificateRefused("relay", str(error.certificate_error)) from error
    except (aiohttp.ClientError, TimeoutError) as error:
        raise ServiceUnavailable("relay", f"{login.api}: {error or type(error).__name__}") from error


async def _ask_address(session: aiohttp.ClientSession, login: BotLogin) -> None:
    async with session.get(f"{login.api}/gateway") as response:
        _require_answer(response)
        told = await response.json(content_type=None) if response.status == 200 else None
    if not isinstance(told, dict) or "url" not in told:
        raise WrongEnvironment(f"What answers at {login.api} is no relay. `/sandbox connect` hands out its address.")


async def _ask_token(session: aiohttp.ClientSession, login: BotLogin) -> None:
    async with session.get(f"{login.api}/users/@me", headers={"Authorization": f"Bot {login.token}"}) as response:
        if response.status == 401:
            raise SandboxEnded(login.sandbox, "refused")
        _require_answer(response)


def _require_answer(response: aiohttp.ClientResponse) -> None:
    if response.status >= 500:
        raise ServiceUnavailable("relay", f"it answers {response.status}")
