"""What random selectors and devices are made of: names, strings, and literals by type."""

from __future__ import annotations

from extender.demand.cel.typecheck import signatures
from extender.demand.cel.typecheck.signatures import Type

DRIVER = "gpu.example.com"
DOMAINS = (DRIVER, DRIVER, DRIVER, "resource.example.org", "absent.example.com")
IDS = ("model", "index", "healthy", "driverVersion", "root", "memory", "cores", "absent")
STRINGS = (
    "", "a", "H100", "NVIDIA A100-SXM4-40GB", "pci0000:00", "a,b,,c", "héllo wörld", " x ", "1",
    "1.2.3", "40Gi", "true", "10.0.0.1", "https://example.com:80/a?b=c&b=d", "^[a-z]+$", "[", "\t",
    "2023-01-02T03:04:05Z", "1h30m", "dns1123Label", "example.com/Name", "10.0.0.0/8", "-0.5", "%s",
)  # fmt: skip
VERSIONS = ("1.2.3", "0.0.1", "12.4.0", "1.2.3-alpha.1", "1.2.3-beta+build.5", "1.10.0")
QUANTITIES = ("0", "1", "40Gi", "500m", "1k", "81559Mi", "1e3", "2", "1536Mi", "-3")
SCALARS = (
    signatures.BOOL, signatures.INT, signatures.UINT, signatures.DOUBLE, signatures.STRING,
    signatures.BYTES, signatures.DURATION, signatures.TIMESTAMP, signatures.QUANTITY,
    signatures.SEMVER,
)  # fmt: skip
# type → literals of it
LITERALS: dict[Type, tuple[str, ...]] = {
    signatures.BOOL: ("true", "false"),
    signatures.INT: (
        "0", "1", "2", "-1", "3", "7", "10", "100", "0x1F", "9223372036854775807",
        "-9223372036854775808", "4096",
    ),
    signatures.UINT: ("0u", "1u", "2u", "42u", "18446744073709551615u"),
    signatures.DOUBLE: (
        "0.0", "1.0", "-1.5", "0.1", "1e10", "3.14159", "1e-7", "2.5", "1e300", "-0.0",
        "1234567.891", "double('NaN')", "double('inf')",
    ),
    signatures.STRING: tuple(
        "'" + one.replace("\\", "\\\\").replace("'", "\\'").replace("\t", "\\t") + "'"
        for one in STRINGS
    ),
    signatures.BYTES: ("b''", "b'abc'", r"b'\xff\x00'", "b'é'"),
    signatures.DURATION: (
        "duration('1h30m')", "duration('0s')", "duration('-1.5s')", "duration('100ms')",
        "duration('1000000h')", "duration('1ns')",
    ),
    signatures.TIMESTAMP: (
        "timestamp('2023-01-02T03:04:05Z')", "timestamp('1969-12-31T23:59:59.5Z')", "timestamp(0)",
        "timestamp('2024-02-29T12:00:00+05:30')", "timestamp('9999-12-31T23:59:59.999999999Z')",
        "timestamp('0001-01-01T00:00:00Z')",
    ),
    signatures.NULL: ("null",),
    signatures.QUANTITY: (
        *(f"quantity('{one}')" for one in QUANTITIES), "quantity('1000m')", "quantity('1Ei')",
        "quantity('0.0000000001')", "quantity('123456789012345678901')", "quantity('abc')",
    ),
    signatures.SEMVER: (
        *(f"semver('{one}')" for one in VERSIONS), "semver('v1.2', true)", "semver('01.2.3')",
        "semver('v01.02', true)",
    ),
    signatures.IP: ("ip('10.0.0.1')", "ip('::1')", "ip('fe80::1')", "ip('224.0.0.1')", "ip('x')"),
    signatures.CIDR: ("cidr('10.0.0.0/8')", "cidr('10.1.2.3/24')", "cidr('2001:db8::/32')"),
    signatures.URL: (
        "url('https://example.com:80/a%20b?b=c&b=d')", "url('https://user@[::1]:8080/')",
        "url('/path')", "url('mailto:x')", "url('https://example.com/päth?q=ü#f')",
    ),
    signatures.FORMAT: (
        "format.dns1123Label()", "format.uuid()", "format.labelValue()", "format.qualifiedName()",
        "format.date()", "format.datetime()", "format.byte()", "format.uri()",
        "format.dns1123SubdomainPrefix()",
    ),
    signatures.TYPE: ("int", "string", "type", "bool", "map", "list", "null_type", "double"),
}  # fmt: skip
