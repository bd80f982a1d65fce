# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.
"""Reads one HTTP/1.1 request head, strictly.

Flows in: bytes of somebody who is not known yet. Flows out: a Request, or
``Malformed``, after which the connection is closed. What two readers could
understand in two ways (RFC 9112: request smuggling) is refused, and so is
every body: the kubelet's API takes none. Not one byte behind the head is
read, for it may belong to an upgraded stream.
"""

from collections.abc import Callable
import dataclasses
import email.message
import re
import urllib.parse

from zun_vk import exceptions

#: Go's net/http, as the kubelet sets it: a command is in the query.
MAX_LINE = 1 << 20
#: Of who has shown no certificate: many of them must not fill the memory.
MAX_STRANGERS_LINE = 64 << 10
MAX_FIELDS_SIZE = 64 << 10
MAX_FIELDS = 100
# As many as there may be parts of a command, and a few.
_MAX_QUERY_FIELDS = 4200
_END = b'\r\n\r\n'
# The least that follows the words of a request line.
_AFTER_LINE = b'\r\nHost:' + _END
_BARE = re.compile(rb'(?<!\r)\n')
_LINE = re.compile(rb'([A-Z]{1,20}) (/[!-~]*) HTTP/(\d)\.(\d)')
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}):"
                    rb'[ \t]*([\t -~\x80-\xff]*?)[ \t]*')
_BAD_ESCAPE = re.compile(r'%(?![0-9A-Fa-f]{2})')
_PATH = re.compile(r'[ -~]*')
_ONCE = ('host', 'authorization', 'content-length', 'content-type', 'expect',
         'transfer-encoding')


class Malformed(exceptions.Refused):
    """No request that can be answered; the connection has to be closed."""


@dataclasses.dataclass(frozen=True)
class Request:
    """One request.

    :param method: in capitals
    :param path: decoded, without the query
    :param query: values of each name, decoded, in their order
    :param last: the client wants the connection closed afterwards
    """

    method: str
    path: str
    query: dict[str, list[str]]
    headers: email.message.Message
    last: bool = False


def read_head(receive: Callable[[int], bytes],
              max_line: int = MAX_LINE) -> bytes:
    """Return a head with the empty line that ends it.

    :param receive: returns at most that many bytes, none at the end of the
        connection; what it raises passes
    :param max_line: bytes that the request line may have
    :returns: b'': the connection ended before anything came
    :raises Malformed: it is too long, or cannot become a head any more
    """
    head = bytearray()
    line_end = 0  # where the request line ends, 0: not seen
    while not head.endswith(_END):
        # So many are surely missing, so none that follows is taken.
        piece = receive(len(_END if line_end else _AFTER_LINE)
                        - _overlap(head))
        if not piece:
            if head:
                raise Malformed(400, 'the request is cut off')
            return b''
        head += piece
        if b'\n' in piece:
            if _BARE.search(head, len(head) - len(piece)):
                raise Malformed(400, 'a line that does not end with CR LF')
            line_end = line_end or head.index(b'\r\n') + 2
        if not line_end and len(head) > max_line:
            raise Malformed(414, 'the request line is too long')
        if line_end and len(head) - line_end > MAX_FIELDS_SIZE:
            raise Malformed(431, 'the header fields are too long')
    return bytes(head)


def _overlap(head: bytearray) -> int:
    """Return how much of the end of a head is there."""
    for length in (3, 2, 1):
        if head.endswith(_END[:length]):
            return length
    return 0


def parse(head: bytes) -> Request:
    """Return the request that a head, with its end, is.

    :raises Malformed: it is none, or one of a kind that is not served
    """
    line, *fields = head.removesuffix(_END).split(b'\r\n')
    found = _LINE.fullmatch(line)
    if found is None:
        raise Malformed(400, 'malformed request line')
    if found[3] + found[4] != b'11':
        raise Malformed(505, 'only HTTP/1.1 is served')
    headers = _headers(fields)
    _check(headers)
    path, _, query = found[2].decode().partition('?')
    options = [one.strip().lower() for value in
               headers.get_all('connection', ()) for one in value.split(',')]
    return Request(found[1].decode(), _path(path), _query(query), headers,
                   'close' in options)


def _headers(fields: list[bytes]) -> email.message.Message:
    if len(fields) > MAX_FIELDS:
        raise Malformed(431, 'too many header fields')
    headers = email.message.Message()
    for field in fields:
        found = _FIELD.fullmatch(field)
        if found is None:
            raise Malformed(400, 'malformed header field')
        headers[found[1].decode()] = found[2].decode('latin-1')
    return headers


def _check(headers: email.message.Message) -> None:
    for name in _ONCE:
        if len(headers.get_all(name, ())) > 1:
            raise Malformed(400, f'more than one header field {name}')
    if 'host' not in headers:
        raise Malformed(400, 'no header field host')
    if 'transfer-encoding' in headers:
        raise Malformed(400, 'a body with transfer-encoding is not taken')
    length = headers.get('content-length', '0')
    if not re.fullmatch(r'[0-9]{1,18}', length):
        raise Malformed(400, 'malformed content-length')
    if int(length):
        raise Malformed(413, 'no body is taken')
    if 'expect' in headers:
        raise Malformed(417, 'nothing can be expected')


def _path(raw: str) -> str:
    if re.search('%2f', raw, re.IGNORECASE):
        raise Malformed(400, 'a path with an escaped slash')
    path = _unquoted(raw, 'path')
    if not _PATH.fullmatch(path):
        raise Malformed(400, 'a path with characters of no name')
    return path


def _query(raw: str) -> dict[str, list[str]]:
    if _BAD_ESCAPE.search(raw) or ';' in raw:
        raise Malformed(400, 'malformed query')
    try:
        return urllib.parse.parse_qs(
            raw, keep_blank_values=True, errors='strict',
            max_num_fields=_MAX_QUERY_FIELDS)
    except ValueError:
        raise Malformed(400, 'malformed query') from None


def _unquoted(raw: str, what: str) -> str:
    if _BAD_ESCAPE.search(raw) or '#' in raw:
        raise Malformed(400, f'malformed {what}')
    try:
        return urllib.parse.unquote(raw, errors='strict')
    except UnicodeDecodeError:
        raise Malformed(400, f'malformed {what}') from None
