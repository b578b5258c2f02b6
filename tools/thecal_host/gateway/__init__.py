"""What pumps tell, on an MQTT broker; and signed commands from there, unchanged, to the pumps.

Read in this order: `topics` (what is published where), `order` (every event once, whatever is killed),
`passing` (what may go to a pump), `view` and `discovery` (payloads), `told` (what one pump has told), `line`
(a thread for each port), `broker` (the connection to the broker), `running` (all of them together). The
broker's client is aiomqtt, which `make desk` brings.
"""


class GatewayError(Exception):
    """The gateway cannot begin, or must end; the message says why and what to do."""


class OptionError(Exception):
    """An option that makes no sense."""
