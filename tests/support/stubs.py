# SPDX-License-Identifier: GPL-3.0-or-later
"""Python's own gRPC stubs, made from proto/ when the tests run."""
import importlib
import pathlib
import sys
import tempfile

from grpc_tools import protoc

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto"
_made = {}


def load(*contracts):
    """Modules of contracts such as "remora/admin/v1/admin": (messages, services) of each."""
    if "folder" not in _made:
        _made["folder"] = tempfile.TemporaryDirectory(prefix="remora-stubs-")
        sys.path.insert(0, _made["folder"].name)
    answer = []
    for contract in contracts:
        if contract not in _made:
            code = protoc.main(["protoc", f"--proto_path={PROTO}", f"--python_out={_made['folder'].name}",
                                f"--grpc_python_out={_made['folder'].name}", f"{contract}.proto"])
            assert code == 0, f"protoc refused {contract}"
            importlib.invalidate_caches()
            name = contract.replace("/", ".")
            _made[contract] = (importlib.import_module(name + "_pb2"),
                               importlib.import_module(name + "_pb2_grpc"))
        answer.append(_made[contract])
    return answer
