"""A socket that a server of pixmo's listens on."""

import os
import socket

from pixmo.errors import SettingsError


def listen(host: str, port: int) -> socket.socket:
    """A TCP socket that listens, whose connections send at once what is written to them.

    Port 0: any that is free.

    Raises:
        SettingsError: the address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        # Of a known error the plain words: create_server's own say the address again.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise SettingsError(
            f"{host} port {port} cannot be listened on ({reason}); another program may have it:"
            " choose one with --port"
        ) from error
    # Else an answer's body waits for the confirmation of its head, which takes a browser 40 ms;
    # asyncio sees to it only where a socket names its protocol.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening
