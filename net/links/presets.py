"""Links with names, and where their figures come from. Latencies are one way: half of a measured round trip.

datacenter      125 us in the median, one message in a hundred above 0.64 ms; one segment in 100,000 lost;
                10 Gbit/s up and down.
                Loss: Guo et al., "Pingmesh: A Large-Scale System for Data Center Network Latency Measurement
                and Analysis", SIGCOMM 2015 (1e-4 to 1e-5). Latency: of the order reported there, in round
                figures. Bandwidth: an assumption.
broadband       14 ms; 20 Mbit/s up, 100 Mbit/s down.
                Latency: WebPageTest's connectivity profile "Cable" (28 ms round trip). Bandwidth: what counts
                as broadband since the FCC's Section 706 report of 2024.
mobile-4g       35 ms in the median, one message in a hundred above 112 ms; 6 Mbit/s up, 13 Mbit/s down.
                Bandwidth: medians of Huang et al., "A Close Examination of Performance and Power
                Characteristics of 4G LTE Networks", MobiSys 2012. Latency: WebPageTest's connectivity profile
                "Mobile LTE" (70 ms round trip); its spread is an assumption.
satellite       279 ms; 3 Mbit/s up, 25 Mbit/s down; a lost segment is sent again after 1 s.
                Latency: a geostationary hop at the edge of the view, RFC 2488 (1999), section 2. Bandwidth:
                what counted as broadband for the FCC from 2015 to 2024. Time-out: the least of RFC 6298
                (2011), rule 2.4.
flamingo-2023   the cubic model with a least latency of 10 to 100 ms for each pair; no limit of bandwidth.
                Ma et al., "Flamingo: Multi-Round Single-Server Secure Aggregation with Applications to
                Private Federated Learning", IEEE S&P 2023: the configuration of its published simulation.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from asyncagg.net.durations import MICROSECOND_NS, MILLISECOND_NS
from asyncagg.net.links.latency import Constant, Cubic, Lognormal
from asyncagg.net.links.model import Link

_US, _MS = MICROSECOND_NS, MILLISECOND_NS
_MBIT, _GBIT = 1_000_000, 1_000_000_000

_DATACENTER = Lognormal(125 * _US, sigma=0.7)
_MOBILE_4G = Lognormal(35 * _MS, sigma=0.5)
_FLAMINGO = Cubic(10 * _MS, 100 * _MS, a=0.3, clip=0.05, unit=5)

PRESETS: Mapping[str, Link] = MappingProxyType(
    {
        "datacenter": Link(_DATACENTER, bandwidth_up=10 * _GBIT, bandwidth_down=10 * _GBIT, loss=1e-5),
        "broadband": Link(Constant(14 * _MS), bandwidth_up=20 * _MBIT, bandwidth_down=100 * _MBIT),
        "mobile-4g": Link(_MOBILE_4G, bandwidth_up=6 * _MBIT, bandwidth_down=13 * _MBIT),
        "satellite": Link(Constant(279 * _MS), bandwidth_up=3 * _MBIT, bandwidth_down=25 * _MBIT, rto_ns=1_000 * _MS),
        "flamingo-2023": Link(_FLAMINGO),
    }
)
"""Presets by name, as a scenario gives it."""
