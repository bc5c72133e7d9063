"""Sets of values, each with everything that it switches on, and what a cluster has besides the release."""

import subprocess
from pathlib import Path

from charts import merged

HASH = "sha256:" + "0123456789abcdef" * 4
KEY = {"secret": {"values": {"key-hash": HASH}}}
LISTEN = 'listen: { http: "0.0.0.0:8443", grpc: ":50051", tls: { cert: /etc/tls/tls.crt, key: /etc/tls/tls.key } }\n'
TENANTS = f'tenants: {{ main: {{ keys: ["{HASH}"] }} }}\n'
MUTUAL = LISTEN.replace("tls.key }", "tls.key, client_ca: /etc/tls/ca.crt }") + 'tenants: { main: { certificates: ["dns:*"] } }\n'
CERTIFICATE = {
    "extraVolumes": [{"name": "tls", "secret": {"secretName": "certificate"}}],
    "extraVolumeMounts": [{"name": "tls", "mountPath": "/etc/tls", "readOnly": True}],
}
PLAIN = 'listen: { http: "[::]:9000" }\n' + TENANTS
API = """{"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "servers": [{"url": "http://127.0.0.1:9"}],
"paths": {"/a": {"get": {"operationId": "a", "responses": {"200": {"description": "a"}}}}}}"""
SPREAD = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
SETS = {
    "the key alone": KEY,
    "a secret of one's own": {"secret": {"existing": "mine"}},
    "secrets in the environment": {
        "config": PLAIN + 'servers: { crm: { url: "https://crm.example.com/mcp", headers: { Authorization: "${CRM}" } } }\n',
        "secret": {"values": {"CRM": "Bearer x"}, "env": True},
    },
    "a ConfigMap of one's own": {
        "existingConfigMap": {"name": "own", "http": 9001, "grpc": 9002, "drain": 1},
        "terminationGracePeriodSeconds": 7,
    },
    "files": {"config": PLAIN + "servers: { api: { openapi: api.json } }\n", "files": {"api.json": API, "other.pem": "x"}},
    "TLS and gRPC": {"config": LISTEN + TENANTS, **CERTIFICATE},
    "client certificates": {
        "config": MUTUAL, **CERTIFICATE,
        "probes": {"command": ["/usr/bin/ferromcp", "health", "--url", "https://localhost:8443", "--ca", "/etc/tls/ca.crt",
                               "--cert", "/etc/tls/tls.crt", "--key", "/etc/tls/tls.key"]},
    },
    "optional client certificates": {
        "config": MUTUAL.replace("ca.crt }", "ca.crt, client_auth: optional }"), **CERTIFICATE,
    },
    "scaling": merged(KEY, {
        "autoscaling": {"enabled": True, "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}}},
        "podDisruptionBudget": {"enabled": True, "maxUnavailable": "50%"},
        "topologySpreadConstraints": [SPREAD, SPREAD | {"labelSelector": {"matchLabels": {"a": "b"}}}],
    }),
    "three": merged(KEY, {"replicas": 3, "service": {"sessionAffinity": "None"}, "podDisruptionBudget": {"enabled": True}}),
    "persistence": {
        "config": PLAIN + "audit: { file: /var/lib/ferromcp/audit }\n"
        f'admin: {{ keys: ["{HASH.replace("0", "1")}"], store: /var/lib/ferromcp/state }}\n',
        "persistence": {"enabled": True, "storageClass": "fast", "size": "10Gi", "accessMode": "ReadWriteOncePod"},
    },
    "a claim of one's own": merged(KEY, {"persistence": {"enabled": True, "existingClaim": "mine"}}),
    "a network policy": merged(KEY, {"networkPolicy": {
        "enabled": True,
        "from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "agents"}}}],
        "egress": [{"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}], "ports": [{"port": 443, "protocol": "TCP"}]}],
    }}),
    "an ingress": merged(KEY, {"ingress": {
        "enabled": True, "className": "nginx", "host": "mcp.example.com", "tlsSecret": "mcp-tls", "annotations": {"a": "b"},
    }}),
    "a load balancer": merged(KEY, {"service": {
        "type": "LoadBalancer", "externalTrafficPolicy": "Local", "port": 80, "annotations": {"a": "b"},
    }}),
    "no credentials": {"config": 'listen: { http: ":8080" }\n', "insecureNoAuth": True},
    "where it runs": merged(KEY, {
        "image": {"repository": "registry.example.com:5000/a/ferromcp", "digest": HASH}, "imagePullSecrets": [{"name": "p"}],
        "nodeSelector": {"kubernetes.io/arch": "amd64"}, "tolerations": [{"key": "a", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}}, "priorityClassName": "high", "podLabels": {"a": "b"}, "podAnnotations": {"c": "d"},
        "extraEnv": [{"name": "FERROMCP_LOG", "value": "warn"}], "shareProcessNamespace": True,
        "serviceAccount": {"create": False, "name": "some"}, "preStopSleepSeconds": 0,
        "resources": {"limits": {"memory": "1Gi", "cpu": 2}}, "global": {"a": 1},
    }),
}  # fmt: skip
SETS["everything"] = merged(
    merged(SETS["scaling"], merged(SETS["an ingress"], SETS["a network policy"])),
    merged(SETS["where it runs"], {"config": LISTEN + TENANTS, "resources": {"requests": {"cpu": "1"}}, **CERTIFICATE}),
)


def cluster(work: Path) -> list[dict]:
    """What is in the cluster besides the release. Files are made in `work`."""

    def certificate(name: str, *options):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.crt", *options],
            cwd=work, check=True, capture_output=True,
        )  # fmt: skip

    certificate("ca")
    certificate("tls", "-CA", "ca.crt", "-CAkey", "ca.key", "-addext", "basicConstraints=CA:FALSE", "-addext",
                "subjectAltName=DNS:localhost")  # fmt: skip
    pems = {name: (work / name).read_text() for name in ("tls.crt", "tls.key", "ca.crt")}
    return [
        {"kind": "Secret", "metadata": {"name": "mine"}, "stringData": {"key-hash": HASH}},
        {"kind": "Secret", "metadata": {"name": "certificate"}, "stringData": pems},
        {"kind": "ConfigMap", "metadata": {"name": "own"}, "data": {"ferromcp.yaml": PLAIN.replace("9000", "9001")}},
    ]
