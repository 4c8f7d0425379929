"""All that a protocol of your own is made of, in one place. This interface is provisional: it may still change.

    from asyncagg.protocols import public as p

    RING = p.Protocol(name="ring", phases=(...), owner=..., lead=..., node=..., receiver=..., forecaster=...)

The roles are generators that yield effects and are sent events (`asyncagg.protocols.effects` explains all of them); the
forecaster says what an attempt costs and who can open an input. `register_protocol` makes the protocol known in this
process; the entry point `asyncagg.protocols` of a package makes it known to every process. docs/own-protocol.md walks
through an example, `asyncagg.testing.conformance` tests one.
"""

from asyncagg.crypto.agreement import KeyPair
from asyncagg.crypto.kdf import derive
from asyncagg.crypto.keystream import add_masks
from asyncagg.crypto.randomness import Randomness, SystemRandomness
from asyncagg.protocols.context import Context, GraphPolicy, Terms
from asyncagg.protocols.effects import (
    Abort,
    Compute,
    Cost,
    Drop,
    Effect,
    Enter,
    Event,
    Expired,
    Gone,
    Got,
    PeerGone,
    Permitted,
    Persist,
    Receive,
    Refuse,
    Rejected,
    Release,
    Role,
    Send,
    collect,
    compute,
    receive,
)
from asyncagg.protocols.forecast.sentences import assumed, nodes, owners
from asyncagg.protocols.forecast.traffic import (
    SIZES,
    bitmap,
    key_exchange_flow,
    message,
    publish_flow,
    signature,
    upload_flow,
)
from asyncagg.protocols.forecaster import Flow, Forecaster, Setting, Situation, Work
from asyncagg.protocols.interface import Protocol
from asyncagg.protocols.messages import (
    Advertise,
    Bytes32,
    ClearSlice,
    Joined,
    MaskedSlice,
    Measures,
    Message,
    MessageError,
    Range,
    Roster,
    Size,
    SumSlice,
    VectorMessage,
    a_slice,
    decode,
    encode,
    says,
)
from asyncagg.protocols.names import LEAD, MODEL_OWNER, Label, Phase, Player, index_of, node_name, owner_name
from asyncagg.protocols.registry import ProtocolError, register_protocol
from asyncagg.protocols.steps.key_exchange import Exchanged, exchange_keys, shared, show_keys
from asyncagg.protocols.steps.lead import Lead
from asyncagg.protocols.steps.ledger import before_upload
from asyncagg.protocols.steps.reveal import Revealed, receive_slices, send_sum
from asyncagg.protocols.steps.upload import Holder, SliceHolder, join, upload
from asyncagg.vectors.ring import Ring, RingVector

__all__ = [
    "LEAD",
    "MODEL_OWNER",
    "SIZES",
    "Abort",
    "Advertise",
    "Bytes32",
    "ClearSlice",
    "Compute",
    "Context",
    "Cost",
    "Drop",
    "Effect",
    "Enter",
    "Event",
    "Exchanged",
    "Expired",
    "Flow",
    "Forecaster",
    "Gone",
    "Got",
    "GraphPolicy",
    "Holder",
    "Joined",
    "KeyPair",
    "Label",
    "Lead",
    "MaskedSlice",
    "Measures",
    "Message",
    "MessageError",
    "PeerGone",
    "Permitted",
    "Persist",
    "Phase",
    "Player",
    "Protocol",
    "ProtocolError",
    "Randomness",
    "Range",
    "Receive",
    "Refuse",
    "Rejected",
    "Release",
    "Revealed",
    "Ring",
    "RingVector",
    "Role",
    "Roster",
    "Send",
    "Setting",
    "Situation",
    "Size",
    "SliceHolder",
    "SumSlice",
    "SystemRandomness",
    "Terms",
    "VectorMessage",
    "Work",
    "a_slice",
    "add_masks",
    "assumed",
    "before_upload",
    "bitmap",
    "collect",
    "compute",
    "decode",
    "derive",
    "encode",
    "exchange_keys",
    "index_of",
    "join",
    "key_exchange_flow",
    "message",
    "node_name",
    "nodes",
    "owner_name",
    "owners",
    "publish_flow",
    "receive",
    "receive_slices",
    "register_protocol",
    "says",
    "send_sum",
    "shared",
    "show_keys",
    "signature",
    "upload",
    "upload_flow",
]
