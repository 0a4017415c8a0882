"""The Kubernetes manifests and the chart: what an API server would refuse, what would not find the other, and the
configurations in them, which gotunnel's own loader takes."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any
from unittest import SkipTest

import yaml

from gotunnel.cli.running import asking
from gotunnel.config.model import File
from tests.config.files import TOKEN, FileTestCase
from tests.install.chart import CHART, render
from tests.processes import DEADLINE, ROOT
from tests.test_docs_commands import unknown

KUBERNETES = ROOT / "etc" / "kubernetes"
TEMPLATES = sorted((CHART / "templates").glob("*.yaml"))

KINDS = {
    "ConfigMap": "v1", "Secret": "v1", "Service": "v1", "PersistentVolumeClaim": "v1", "Deployment": "apps/v1",
    "DaemonSet": "apps/v1", "PodDisruptionBudget": "policy/v1",
}  # fmt: skip

POD = {
    "automountServiceAccountToken", "terminationGracePeriodSeconds", "securityContext", "containers", "volumes",
    "hostNetwork", "dnsPolicy", "priorityClassName", "tolerations",
}  # fmt: skip
CONTAINER = {
    "name", "image", "args", "env", "ports", "readinessProbe", "livenessProbe", "resources", "securityContext",
    "volumeMounts",
}  # fmt: skip
"""The keys of the API (core/v1, PodSpec and Container) that these files use: another one is a slip of the pen."""

UDP_PORTS = [{"name": "dns", "protocol": "UDP", "port": 53, "targetPort": 20053}]
CONFIGURED = {"NODE_NAME": "worker-1", "NODE_IP": "10.200.0.11", "GOTUNNEL_TOKEN": TOKEN}


def manifests(*names: str) -> list[dict[str, Any]]:
    """Return the objects of files in etc/kubernetes."""
    return [each for name in names for each in yaml.safe_load_all((KUBERNETES / name).read_text("utf-8"))]


def of_kind(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = [each for each in objects if each["kind"] == kind]
    return found


class ObjectsTestCase(FileTestCase):
    """Checks of a whole set of objects for one role."""

    def check(self, objects: list[dict[str, Any]], workload: str) -> File:
        """Look at all objects of a role, and return its configuration as the pod would load it."""
        for each in objects:
            self.assertEqual(each["apiVersion"], KINDS[each["kind"]])
            self.assertLessEqual(set(each), {"apiVersion", "kind", "metadata", "spec", "data", "type", "stringData"})
        names = [(each["kind"], each["metadata"]["name"]) for each in objects]
        self.assertEqual(len(set(names)), len(names))
        self.assertEqual(len({each["metadata"]["namespace"] for each in objects}), 1)
        spec = of_kind(objects, workload)["spec"]
        labels = spec["template"]["metadata"]["labels"]
        self.assertEqual(spec["selector"]["matchLabels"], labels)
        pod = spec["template"]["spec"]
        self.assertLessEqual(set(pod), POD)
        self.assertEqual((pod["securityContext"]["runAsNonRoot"], pod["securityContext"]["runAsUser"]), (True, 10001))
        (container,) = pod["containers"]
        self.assertLessEqual(set(container), CONTAINER)
        self.assertEqual(
            container["securityContext"],
            {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
        )
        self.check_volumes(pod, container, names)
        env = {each["name"]: each["valueFrom"] for each in container["env"]}
        self.assertLessEqual(set(env), set(CONFIGURED))
        self.assertEqual(env["GOTUNNEL_TOKEN"], {"secretKeyRef": {"name": "gotunnel-token", "key": "token"}})
        ((file, text),) = of_kind(objects, "ConfigMap")["data"].items()
        self.assertEqual(container["args"][:2], ["--config", f"/etc/gotunnel/{file}"])
        loaded = self.load(text, {name: CONFIGURED[name] for name in env})
        self.assertEqual(loaded.warnings, [])
        role = loaded.server or loaded.client
        assert role is not None
        self.assertGreater(pod["terminationGracePeriodSeconds"], role.drain_timeout)
        return loaded

    def check_volumes(self, pod: dict[str, Any], container: dict[str, Any], names: list[tuple[str, str]]) -> None:
        """Every mount has its volume, every volume its object, and the state can be written."""
        volumes = {each["name"]: each for each in pod["volumes"]}
        mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
        self.assertEqual(set(volumes), set(mounts))
        self.assertEqual(mounts["state"], "/var/lib/gotunnel")
        self.assertIn(("ConfigMap", volumes["config"]["configMap"]["name"]), names)
        if "persistentVolumeClaim" in volumes["state"]:
            self.assertIn(("PersistentVolumeClaim", volumes["state"]["persistentVolumeClaim"]["claimName"]), names)
            # Without it the user of the pod could not write there.
            self.assertEqual(pod["securityContext"]["fsGroup"], pod["securityContext"]["runAsGroup"])

    def check_server(self, objects: list[dict[str, Any]]) -> None:
        """What a server has beyond that: ports that lead somewhere, and a budget that blocks no drain."""
        server = self.check(objects, "Deployment").server
        assert server is not None
        spec = of_kind(objects, "Deployment")["spec"]
        (container,) = spec["template"]["spec"]["containers"]
        ports = {each["name"]: each["containerPort"] for each in container["ports"]}
        self.assertEqual(ports["control"], server.addr.port)
        self.assertEqual(container["readinessProbe"]["tcpSocket"], {"port": "control"})
        self.assertEqual(
            container["livenessProbe"]["exec"]["command"],
            ["python", "/opt/gotunnel/alive.py", str(server.addr.port)],
        )
        labels = spec["template"]["metadata"]["labels"]
        services = [each["spec"] for each in objects if each["kind"] == "Service"]
        for service in services:
            self.assertEqual(service["selector"], labels)
            self.assertEqual(service["externalTrafficPolicy"], "Local")
            # Not every load balancer takes both in one.
            self.assertEqual(len({each.get("protocol", "TCP") for each in service["ports"]}), 1)
            for each in service["ports"]:
                target = ports.get(each["targetPort"], each["targetPort"])
                if target != server.addr.port:
                    allowed = server.allow_udp_ports if each.get("protocol") == "UDP" else server.allow_ports
                    self.assertIn(target, allowed)
        self.assertEqual(
            [each["name"] for service in services for each in service["ports"] if each["port"] == server.addr.port],
            ["control"],
        )
        budget = of_kind(objects, "PodDisruptionBudget")["spec"]
        self.assertEqual(budget, {"maxUnavailable": 1, "selector": {"matchLabels": labels}})
        # Two servers with one state, or clients that meet another server at each connection: not with this release.
        self.assertEqual((spec["replicas"], spec["strategy"]), (1, {"type": "Recreate"}))

    def check_client(self, objects: list[dict[str, Any]]) -> None:
        """A client is on the node's own network, and is named after it."""
        client = self.check(objects, "DaemonSet").client
        assert client is not None
        self.assertEqual(client.name, "worker-1")
        self.assertEqual(len(client.nodes), 1)
        pod = of_kind(objects, "DaemonSet")["spec"]["template"]["spec"]
        self.assertEqual((pod["hostNetwork"], pod["dnsPolicy"]), (True, "ClusterFirstWithHostNet"))
        (container,) = pod["containers"]
        for probe, more in (("readinessProbe", ["--ready"]), ("livenessProbe", [])):
            program, *words = container[probe]["exec"]["command"]
            self.assertEqual((program, words), ("gotunnel", ["status", *more, "--role", "client"]))
            self.assertIsNone(unknown(" ".join(words)))
            # A process that is stuck is told of by the command itself, and not by a probe that was cut.
            self.assertGreater(container[probe]["timeoutSeconds"], asking.SECONDS)


class ManifestTests(ObjectsTestCase):
    """The files as they are."""

    def test_server(self) -> None:
        """A server, with the Secret that its pod asks for."""
        self.check_server(manifests("server.yaml"))

    def test_client(self) -> None:
        """A client on every node."""
        self.check_client(manifests("client.yaml"))

    def test_secret(self) -> None:
        """The Secret is the one that the pods name, and gotunnel refuses it unless it was filled in."""
        (secret,) = manifests("secret.yaml")
        self.assertEqual((secret["kind"], secret["metadata"]["name"]), ("Secret", "gotunnel-token"))
        ((key, token),) = secret["stringData"].items()
        self.assertEqual(key, "token")
        text = manifests("server.yaml")[0]["data"]["server.yaml"]
        self.assertIn("placeholder", self.problem(text, {"GOTUNNEL_TOKEN": token}).wrong)

    def test_secret_as_a_file(self) -> None:
        """Why the token is a variable: a Secret's file with the group's right to read, as fsGroup makes it, is
        refused."""
        self.write(TOKEN, "token").chmod(0o440)
        self.assertIn("mode 0440", self.problem('server: {addr: "0.0.0.0:1", token_file: token}\n').wrong)

    def test_egress_selector(self) -> None:
        """kube-apiserver's file has the socket in the folder that the patch mounts; and the patch fits a manifest of
        kubeadm's."""
        (selector,) = manifests("egress-selector.yaml")
        self.assertEqual(
            (selector["apiVersion"], selector["kind"]), ("apiserver.k8s.io/v1beta1", "EgressSelectorConfiguration")
        )
        (selection,) = selector["egressSelections"]
        self.assertEqual((selection["name"], selection["connection"]["proxyProtocol"]), ("cluster", "HTTPConnect"))
        name = Path(selection["connection"]["transport"]["uds"]["udsName"])
        pod: dict[str, Any] = {
            "spec": {"containers": [{"command": ["kube-apiserver"], "volumeMounts": [{}]}], "volumes": [{}]}
        }
        before = copy.deepcopy(pod)
        (steps,) = manifests("patches/kube-apiserver0+json.yaml")
        for step in steps:
            self.assertEqual(step["op"], "add")
            *way, last = step["path"].strip("/").split("/")
            place: Any = pod
            for key in way:
                place = place[int(key)] if isinstance(place, list) else place[key]
            self.assertEqual(last, "-")
            place.append(step["value"])
        self.assertNotEqual(pod, before)
        container, volumes = pod["spec"]["containers"][0], pod["spec"]["volumes"][1:]
        flag, _, file = container["command"][-1].partition("=")
        self.assertEqual(flag, "--egress-selector-config-file")
        mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"][1:]}
        self.assertEqual(mounts, {each["name"]: each["hostPath"]["path"] for each in volumes})
        self.assertEqual(set(mounts.values()), {file, str(name.parent)})
        unit = (ROOT / "etc/systemd/gotunnel-server.service").read_text()
        self.assertIn(f"RuntimeDirectory={name.parent.name}\n", unit)
        self.assertIn("RuntimeDirectoryPreserve=yes\n", unit)


class SchemaTests(ObjectsTestCase):
    """Every object against the schemas that API servers publish of themselves, unknown keys refused."""

    def test_strict(self) -> None:
        """Manifests and chart are right for an old release of Kubernetes and for the newest that is known here; a slip
        of the pen would be told."""
        try:
            import kubernetes_validate as schemas
        except ImportError:
            raise SkipTest("kubernetes-validate, 100 MB of schemas, is not installed in this Python") from None
        objects = manifests("server.yaml", "client.yaml", "secret.yaml")
        for path in TEMPLATES:
            objects += render(path, {"client": {"enabled": True}, "server": {"service": {"udpPorts": UDP_PORTS}}})
        for version in ("1.28", schemas.latest_version()):
            for each in objects:
                schemas.validate(each, version, strict=True)
        wrong = copy.deepcopy(of_kind(manifests("server.yaml"), "Deployment"))
        (container,) = wrong["spec"]["template"]["spec"]["containers"]
        container["readynessProbe"] = container.pop("readinessProbe")
        with self.assertRaisesRegex(schemas.ValidationError, "readynessProbe"):
            schemas.validate(wrong, "1.28", strict=True)


class ChartTests(ObjectsTestCase):
    """The chart, rendered here, and by helm where there is one."""

    def test_server(self) -> None:
        """The chart's server is as good as the manifests' one, and its client is off."""
        self.check_server(render(CHART / "templates" / "server.yaml"))
        self.assertEqual(render(CHART / "templates" / "client.yaml"), [])

    def test_client(self) -> None:
        """The chart's client."""
        more = {"server": {"enabled": False}, "client": {"enabled": True}}
        self.assertEqual(render(CHART / "templates" / "server.yaml", more), [])
        self.check_client(render(CHART / "templates" / "client.yaml", more))

    def test_same(self) -> None:
        """Chart and manifests do not drift apart: names, the notes of the chart and its quotes aside, they are one."""
        more = {"client": {"enabled": True}}
        for role in ("server", "client"):
            chart = render(CHART / "templates" / f"{role}.yaml", more)
            plain = manifests(f"{role}.yaml")
            self.assertEqual([each["kind"] for each in chart], [each["kind"] for each in plain])
            for one, other in zip(chart, plain, strict=True):
                if one["kind"] in ("Deployment", "DaemonSet"):
                    one["spec"]["template"]["metadata"].pop("annotations")
                    ports = [each["spec"]["template"]["spec"]["containers"][0].pop("ports", 0) for each in (one, other)]
                    self.assertEqual(bool(ports[0]), bool(ports[1]))
                elif one["kind"] == "ConfigMap":
                    for each in (one, other):
                        each["data"] = {file: yaml.safe_load(text) for file, text in each["data"].items()}
                elif one["kind"] == "Service":
                    for port in (*one["spec"]["ports"], *other["spec"]["ports"]):
                        del port["targetPort"]
                text = yaml.safe_dump(one).replace("edge-", "gotunnel-").replace("tunnels", "gotunnel")
                self.assertEqual(yaml.safe_load(text), other, role)

    def test_values(self) -> None:
        """Every value is used, and every used one is there, so that no setting is without effect."""
        used: set[str] = set()
        for path in TEMPLATES:
            render(path, {"client": {"enabled": True}}, used)

        def leaves(values: Any, path: str) -> list[str]:
            if path in used or not isinstance(values, dict):
                return [path]
            return [leaf for key, value in values.items() for leaf in leaves(value, f"{path}.{key}".strip("."))]

        self.assertEqual(set(leaves(yaml.safe_load((CHART / "values.yaml").read_text("utf-8")), "")), used)

    def test_changed_values(self) -> None:
        """Another port, with the configuration that goes with it, is one everywhere."""
        more = {"server": {"port": 17443, "config": {"server": {"addr": "0.0.0.0:17443"}}}}
        self.check_server(render(CHART / "templates" / "server.yaml", more))

    def test_udp(self) -> None:
        """The notes on UDP are right: without their signs of a comment, in the chart's values and in the manifest, they
        are a second Service, the same in both, whose port leads somewhere; without a port there is no such Service."""
        text = (CHART / "values.yaml").read_text("utf-8")
        self.assertEqual(len(self.services(render(CHART / "templates" / "server.yaml"))), 1)
        text = text.replace("    udpPorts: []\n", "")
        for note in ("udpPorts: [{name: dns,", "allow_udp_ports:"):
            self.assertEqual(text.count(f"# {note}"), 1)
            text = text.replace(f"# {note}", note)
        chart = render(CHART / "templates" / "server.yaml", yaml.safe_load(text))
        plain = (KUBERNETES / "server.yaml").read_text("utf-8")
        head, note, rest = plain.partition("Take the # away from these lines:\n")
        self.assertTrue(note)
        block, between, rest = rest.partition("\n---\n")
        lines = [line.removeprefix("# ") for line in block.splitlines()]
        head = head.replace("allow_ports: [6443]\n", "allow_ports: [6443]\n      allow_udp_ports: [20053]\n")
        manifest = [each for each in yaml.safe_load_all("\n".join([head, *lines, between + rest])) if each]
        for objects in (chart, manifest):
            self.check_server(objects)
        wanted = yaml.safe_dump(self.services(chart)[1]).replace("edge-", "gotunnel-").replace("tunnels", "gotunnel")
        self.assertEqual(self.services(manifest)[1:], [yaml.safe_load(wanted)])
        self.assertEqual(self.services(manifest)[1]["spec"]["ports"][0]["protocol"], "UDP")

    @staticmethod
    def services(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [each for each in objects if each["kind"] == "Service"]

    def test_versions(self) -> None:
        """The chart and its images have the version of the program."""
        from gotunnel import __version__

        chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
        values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
        self.assertEqual((chart["apiVersion"], chart["appVersion"]), ("v2", __version__))
        for role in ("server", "client"):
            self.assertEqual(values[role]["image"], f"gotunnel-{role}:{__version__}")

    def test_helm(self) -> None:
        """helm makes the same objects of it as the renderer of these tests, the Service for UDP among them, and has
        nothing to say against the chart."""
        helm = shutil.which("helm")
        if helm is None:
            raise SkipTest("helm is not installed: see helm.sh, Debian has no package")
        sets = ["--set", "client.enabled=true", "--set-json", f"server.service.udpPorts={json.dumps(UDP_PORTS)}"]
        more = {"client": {"enabled": True}, "server": {"service": {"udpPorts": UDP_PORTS}}}
        subprocess.run([helm, "lint", "--strict", str(CHART), *sets], check=True, capture_output=True, timeout=DEADLINE)
        done = subprocess.run(
            [helm, "template", "edge", str(CHART), "--namespace", "tunnels", *sets],
            check=True, capture_output=True, text=True, timeout=DEADLINE,
        )  # fmt: skip
        theirs = [each for each in yaml.safe_load_all(done.stdout) if each]
        ours = [each for path in TEMPLATES for each in render(path, more)]

        def keyed(objects: list[dict[str, Any]]) -> dict[tuple[str, str], Any]:
            for each in objects:
                if "data" in each:
                    each["data"] = {name: yaml.safe_load(text) for name, text in each["data"].items()}
                if "template" in each.get("spec", {}):
                    del each["spec"]["template"]["metadata"]["annotations"]
            return {(each["kind"], each["metadata"]["name"]): each for each in objects}

        self.assertEqual(keyed(theirs), keyed(ours))
