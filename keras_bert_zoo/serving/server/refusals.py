"""Why a request is not answered: one code for both protocols, and a sentence."""

from __future__ import annotations

from keras_bert_zoo.errors import ZooError

# gRPC's name of a code -> HTTP's number.  Source: tensorflow_serving/model_servers/http_server.cc, ToHTTPStatusCode.
HTTP_STATUS = {
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}
# Their numbers, as TensorFlow's errors have them.  Source: google/rpc/code.proto.
CODES = (
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS"),
    *("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED"),
    *("INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"),
)


class Refused(ZooError):
    """A request that is not answered: gRPC's name of the reason, and HTTP's number where it is not that name's."""

    def __init__(self, code: str, message: str, *, http: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.http = HTTP_STATUS[code] if http is None else http
