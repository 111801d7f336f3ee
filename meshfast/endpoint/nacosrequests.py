"""What clients of Nacos 2 ask, as the JSON in a Payload has it, by the names of Nacos's own classes."""

from __future__ import annotations

import msgspec

__all__ = [
    "ANSWERS", "KINDS", "Batch", "Config", "Context", "Instance", "Listen", "Naming", "Plain", "Publish", "Request",
    "SetUp",
]  # fmt: skip


class Request(msgspec.Struct, rename="camel"):
    request_id: str | None = None


class Plain(Request):
    """One of which nothing is read."""


class SetUp(Request):
    client_version: str | None = None


class Instance(msgspec.Struct, rename="camel"):
    """``metadata``: of a provider the parameters of its URL, with ``protocol`` and ``path``."""

    ip: str = ""
    port: int = 0
    enabled: bool = True
    healthy: bool = True
    metadata: dict[str, str | None] | None = None

    @property
    def told(self) -> dict[str, str]:
        return {name: text for name, text in (self.metadata or {}).items() if text is not None}


class Naming(Request):
    """Of one of Nacos's services, or of all."""

    namespace: str | None = None
    service_name: str | None = None
    group_name: str | None = None
    type: str | None = None
    instance: Instance | None = None
    subscribe: bool = False
    page_no: int = 1
    page_size: int = 0


class Batch(Naming):
    instances: list[Instance] | None = None


class Config(Request):
    data_id: str | None = None
    group: str | None = None
    tenant: str | None = None


class Publish(Config):
    content: str | None = None
    cas_md5: str | None = None


class Context(msgspec.Struct, rename="camel"):
    data_id: str | None = None
    group: str | None = None
    tenant: str | None = None
    md5: str | None = None


class Listen(Request):
    listen: bool = True
    config_listen_contexts: list[Context] | None = None


#: What is answered, by type; the answer's type has Response in the place of Request.
KINDS: dict[str, type[Request]] = {
    "ServerCheckRequest": Plain,
    "ConnectionSetupRequest": Plain,
    "HealthCheckRequest": Plain,
    "InstanceRequest": Naming,
    "PersistentInstanceRequest": Naming,
    "BatchInstanceRequest": Batch,
    "ServiceQueryRequest": Naming,
    "SubscribeServiceRequest": Naming,
    "ServiceListRequest": Naming,
    "ConfigQueryRequest": Config,
    "ConfigPublishRequest": Publish,
    "ConfigRemoveRequest": Config,
    "ConfigBatchListenRequest": Listen,
}
#: Those whose answer is called otherwise.
ANSWERS = {
    "ServiceQueryRequest": "QueryServiceResponse",
    "PersistentInstanceRequest": "InstanceResponse",
    "ConfigBatchListenRequest": "ConfigChangeBatchListenResponse",
}
