"""The page's side of the admin listener without a browser: headers, files, cookies, and what another page cannot do."""

from __future__ import annotations

import json
import re
from typing import Any

from twisted.internet.threads import deferToThread

from gotunnel.admin.browser import FOLDER, page_file
from gotunnel.admin.guard import DASHBOARD
from gotunnel.admin.listener import AdminService
from gotunnel.admin.logins import IDLE
from gotunnel.core.view import MappingState, SessionState
from gotunnel.server.announced import NOT_ALLOWED
from tests.admin.scene import TOKEN, Scene, shown
from tests.admin.test_web import Answered, request, talk
from tests.integration.base import IntegrationTestCase, reactor

HOST = "127.0.0.1"
ORIGIN = f"Origin: http://{HOST}"


class PageTestCase(IntegrationTestCase):
    """A made-up role with its listeners."""

    def begin(self, **wish: Any) -> tuple[Scene, AdminService]:
        """Start it."""
        scene, admin = shown(reactor, self.folder, **wish)
        self.addCleanup(admin.stopService)
        self.admin = admin
        return scene, admin

    async def ask(self, method: str, path: str, *headers: str, near: bool = False, **wish: Any) -> Answered:
        """Ask on the address, or `near`, on the socket."""
        body = json.dumps(wish).encode() if method == "POST" else b""
        where: Any = self.admin.path if near else (HOST, self.admin.address.port)
        found: Answered = await deferToThread(talk, where, request(method, path, *headers, body=body))
        return found

    async def log_in(self, **wish: Any) -> tuple[str, str]:
        """Log in, and return the headers with the cookie, and with what the page says."""
        answer = await self.ask("POST", "/login", ORIGIN, **(wish or {"token": TOKEN}))
        self.assertEqual(answer.status, 200, answer.raw)
        cookie = re.search(rb"(?i)set-cookie: ([^;]+)", answer.raw)
        assert cookie is not None
        return f"Cookie: {cookie[1].decode()}", f"X-CSRF-Token: {answer.json['login']['csrf']}"


class FilesTests(PageTestCase):
    """What is served."""

    async def test_headers(self) -> None:
        """The page and each of its files come without a token, with a policy that lets nothing else in, and so does
        every answer of the API, in which nothing may run at all."""
        self.begin(token=TOKEN)
        for path, kind in (("/", "text/html"), ("/page/main.js", "text/javascript"), ("/page/style.css", "text/css"),
                           ("/page/icon.svg", "image/svg+xml")):  # fmt: skip
            answer = await self.ask("GET", path)
            self.assertEqual(answer.status, 200, path)
            head = answer.head.decode()
            self.assertIn(f"content-type: {kind}", head)
            policy = re.search(r"content-security-policy: (.+)\r", head)
            assert policy is not None
            self.assertEqual(
                policy[1],
                "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
                "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
            )
            for line in ("x-content-type-options: nosniff", "x-frame-options: deny", "referrer-policy: no-referrer"):
                self.assertIn(line, head)
        refused = await self.ask("GET", "/v1/status")
        self.assertEqual(refused.status, 401)
        self.assertIn(b"content-security-policy: default-src 'none'; frame-ancestors 'none'", refused.head)

    async def test_nothing_else(self) -> None:
        """No path leads to another file."""
        self.begin()
        for path in (
            "/page/", "/page/../api.py", "/page/%2e%2e/api.py", "/page//etc/passwd", "/page/none.js", "/index.html",
            "/page/main.js/", "/page/..%2fapi.py",
        ):  # fmt: skip
            self.assertEqual((await self.ask("GET", path)).status, 404, path)
        self.assertEqual((await self.ask("POST", "/", ORIGIN)).status, 405)
        self.assertEqual((await self.ask("GET", "/login")).status, 405)

    async def test_unchanged(self) -> None:
        """A browser that has a file is told so, and gets it again when it has changed."""
        self.begin()
        tag = re.search(rb'etag: ("[0-9a-f]{32}")', (await self.ask("GET", "/page/main.js")).head)
        assert tag is not None
        again = await self.ask("GET", "/page/main.js", f"If-None-Match: {tag[1].decode()}")
        self.assertEqual((again.status, again.body), (304, b""))
        self.assertEqual((await self.ask("GET", "/page/main.js", 'If-None-Match: "old"')).status, 200)

    def test_self_contained(self) -> None:
        """The files are small, name no other host, and hold no script, style or handler of an event inside of the
        HTML; no script makes HTML of a string, or code."""
        files = {file.name: file.read_text("utf-8") for file in FOLDER.iterdir()}
        self.assertGreater(len(files), 10)
        self.assertLess(sum(map(len, files.values())), 82_000)
        for name, text in files.items():
            found = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+", text)) - {"http://www.w3.org", "//www.w3.org"}
            self.assertEqual(found, set(), name)
            if name.endswith(".js"):
                unsafe = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function"
                self.assertEqual(re.findall(unsafe, text), [], name)
            self.assertIsNotNone(page_file(f"/page/{name}"), name)
        self.assertEqual(re.findall(r"<style|style=|<script(?![^>]*src=)|\son\w+=", files["index.html"]), [])

    def test_words(self) -> None:
        """Each word that the page uses is there in both languages with the same fields, and none is there in vain."""
        words, used = (FOLDER / "words.js").read_text("utf-8"), ""
        for file in FOLDER.iterdir():
            used += file.read_text("utf-8") if file.name != "words.js" else ""
        table = words.partition("const WORDS = {")[2].partition("\n};")[0]
        known = dict(re.findall(r"^  (\w+): \[(.+?)\],$", table, re.MULTILINE | re.DOTALL))
        for key, both in known.items():
            texts = re.findall(r'"((?:[^"\\]|\\.)*)"', both)
            self.assertEqual(len(texts), 2, key)
            fields = [{*re.findall(r"\{(\w+)\}", text)} for text in texts]
            self.assertEqual(fields[0], fields[1], key)
            self.assertIn(len(texts[0].split("|")), (1, 3), key)
            self.assertRegex(texts[1], r"[\u4e00-\u9fff]|\{n\}", key)
        wanted = set(re.findall(r'\bsay\("(\w+)"', used + words)) | set(re.findall(r'data-word(?:-\w+)?="(\w+)"', used))
        self.assertEqual(wanted - set(known), set())
        in_vain = {key for key in known if not re.search(rf'"{key}"', used + words.replace(table, ""))}
        made_of_parts = r"(check|kind|state|level|role|theme|span)_|(switchOff|switchOn)(Title|Why)$"
        made = {key for key in in_vain if re.match(made_of_parts, key)}
        self.assertEqual(in_vain - made - {"day", "hour", "minute", "second"}, set())

    def test_words_of_the_api(self) -> None:
        """Those that it shows are there in both languages: what things are, how they stand, and levels."""
        words, views = ((FOLDER / name).read_text("utf-8") for name in ("words.js", "views.js"))
        states = {*map(str.lower, MappingState.__members__), *map(str.lower, SessionState.__members__), "dialling"}
        for key in (*(f"state_{each}" for each in states), "kind_forward", "kind_egress", "level_warn", "level_error"):
            self.assertIn(f"\n  {key}: [", words)
        for kind in ("kind", "state"):
            self.assertIn(f'sayWord("{kind}", ', views)
        checks: set[str] = set()
        for source in ("admin/api.py", "client/view.py", "server/view.py"):
            checks.update(re.findall(r'Finding\("([a-z ]+)"', (FOLDER.parents[1] / source).read_text("utf-8")))
        self.assertIn("event loop", checks)
        for check in checks:
            self.assertIn(f"\n  check_{check.replace(' ', '_')}: [", words)


class LoginTests(PageTestCase):
    """Cookies, and who acts."""

    async def test_cookie(self) -> None:
        """It is for this origin's requests alone and no script sees it; by TLS, which a proxy has, it stays within. Its
        name is the process's own."""
        self.begin(token=TOKEN)
        answer = await self.ask("POST", "/login", ORIGIN, token=TOKEN)
        cookie = re.search(rb"set-cookie: (.+)\r", answer.head)
        assert cookie is not None
        self.assertRegex(
            cookie[1].decode(),
            r"^gotunnel-server-[0-9a-f]{8}=[\w-]{43}; max-age=28800; path=/; httponly; samesite=strict$",
        )
        secure = await self.ask("POST", "/login", f"Origin: https://{HOST}", token=TOKEN)
        self.assertRegex(secure.head, rb"samesite=strict; secure\r")
        self.assertEqual((await self.ask("POST", "/login", ORIGIN, token="x" * 32)).status, 401)
        self.assertEqual((await self.ask("POST", "/login", "Origin: http://evil.example", token=TOKEN)).status, 403)

    async def test_session(self) -> None:
        """A stranger learns which role it is and how to log in; who is logged in can read, and learns what to say when
        he acts. The end of a session is the end of both."""
        self.begin(token=TOKEN)
        stranger = (await self.ask("GET", "/session")).json
        self.assertEqual(
            stranger,
            {"role": "server", "name": "", "version": "", "readable": False, "by_token": True, "login": None},
        )
        cookie, says = await self.log_in()
        mine = (await self.ask("GET", "/session", cookie)).json
        self.assertEqual((mine["name"], f"X-CSRF-Token: {mine['login']['csrf']}"), ("0.0.0.0:17000", says))
        self.assertEqual((await self.ask("GET", "/v1/status", cookie)).status, 200)
        self.assertEqual((await self.ask("POST", "/logout", ORIGIN, cookie)).status, 403)
        self.assertEqual((await self.ask("POST", "/logout", ORIGIN, cookie, says)).status, 200)
        self.assertEqual((await self.ask("GET", "/v1/status", cookie)).status, 401)
        cookie, says = await self.log_in()
        (login,) = self.admin.logins._sessions.values()
        login.used -= IDLE
        self.assertEqual((await self.ask("GET", "/v1/status", cookie)).status, 401)

    async def test_forgery(self) -> None:
        """The cookie alone does nothing: not without what our page says, not from another origin, not from another
        site, and not as a form."""
        scene, _ = self.begin(token=TOKEN)
        cookie, says = await self.log_in()
        wish = {"client": "worker-1"}
        other = f"X-CSRF-Token: {'A' * 32}"
        for headers, status in (
            ((cookie,), 403), ((cookie, says), 403), ((cookie, ORIGIN), 403), ((cookie, ORIGIN, other), 403),
            ((cookie, says, "Origin: http://127.0.0.1:9"), 403), ((cookie, says, "Origin: null"), 403),
            ((cookie, says, ORIGIN, "Sec-Fetch-Site: same-site"), 403), ((says, ORIGIN), 401), ((ORIGIN,), 401),
            (("Cookie: gotunnel-server-00000000=x", says, ORIGIN), 401),
        ):  # fmt: skip
            answer = await self.ask("POST", "/v1/kick", *headers, **wish)
            self.assertEqual(answer.status, status, headers)
        body = b"client=worker-1"
        form = request("POST", "/v1/kick", cookie, says, ORIGIN, "Content-Type: application/x-www-form-urlencoded",
                       f"Content-Length: {len(body)}") + body  # fmt: skip
        self.assertEqual((await deferToThread(talk, (HOST, self.admin.address.port), form)).status, 415)
        self.assertIn("worker-1", scene.names)
        done = await self.ask("POST", "/v1/kick", cookie, says, ORIGIN, **wish)
        self.assertEqual((done.status, "worker-1" in scene.names), (200, False))

    async def test_socket(self) -> None:
        """A program on the socket acts, as always. A page that comes there, by `ssh -L`, reads and must log in to act;
        one of another name gets nothing, however that name leads here."""
        scene, _ = self.begin()
        page = "Origin: http://localhost:17080"

        async def ask(*headers: str, host: str = "localhost:17080", method: str = "POST") -> int:
            body = b'{"client": "worker-1"}' if method == "POST" else b""
            path = "/v1/kick" if method == "POST" else "/v1/status"
            said = request(method, path, *headers, body=body, host=host)
            return int((await deferToThread(talk, self.admin.path, said)).status)

        self.assertEqual(await ask(page), 403)
        self.assertEqual(await ask("Sec-Fetch-Site: same-origin"), 403)
        self.assertEqual((await ask(method="GET"), await ask("Sec-Fetch-Site: none", method="GET")), (200, 200))
        self.assertEqual(await ask(host="evil.example:17080", method="GET"), 421)
        self.assertEqual(await ask("Origin: http://evil.example", host="evil.example"), 421)
        self.assertIn("worker-1", scene.names)
        self.assertEqual((await ask(), "worker-1" in scene.names), (200, False))

    async def test_link(self) -> None:
        """A program on the socket gets a link, with which a browser can act where no token is; nobody else gets one."""
        scene, _ = self.begin()
        self.assertEqual((await self.ask("POST", "/v1/link")).status, 403)
        made = (await self.ask("POST", "/v1/link", near=True)).json
        self.assertEqual(made["addr"], f"{HOST}:{self.admin.address.port}")
        cookie, says = await self.log_in(code=made["code"])
        self.assertEqual((await self.ask("POST", "/v1/link", cookie, says, ORIGIN)).status, 403)
        self.assertEqual((await self.ask("POST", "/login", ORIGIN, code=made["code"])).status, 401)
        done = await self.ask("POST", "/v1/mapping", cookie, says, ORIGIN, client="worker-1", name="web-1", on=False)
        self.assertEqual((done.status, scene.off), (200, {("worker-1", "web-1")}))

    async def test_marked(self) -> None:
        """What comes through the port of `gotunnel dashboard` is nobody's who could open the socket: it reads nothing
        and does nothing before it is logged in."""
        scene, _ = self.begin()
        mark = f"{DASHBOARD}: 1"
        for method, path in (("GET", "/v1/status"), ("GET", "/metrics"), ("POST", "/v1/kick"), ("POST", "/v1/link")):
            answer = await self.ask(method, path, mark, near=True)
            self.assertIn(answer.status, (401, 403), path)
        self.assertEqual((await self.ask("GET", "/readyz", mark, near=True)).json, {"ready": True})
        self.assertFalse((await self.ask("GET", "/session", mark, near=True)).json["readable"])
        made = (await self.ask("POST", "/v1/link", near=True)).json
        cookie, says = await self.log_in(code=made["code"])
        self.assertEqual((await self.ask("GET", "/v1/status", mark, cookie, near=True)).status, 200)
        done = await self.ask("POST", "/v1/kick", mark, cookie, says, ORIGIN, near=True, client="worker-2")
        self.assertEqual((done.status, "worker-2" in scene.names), (200, False))


class LanguageTests(PageTestCase):
    """The words of the process in Chinese."""

    async def test_chinese(self) -> None:
        """Reasons, events and errors are said in the language that is asked for; names and words of the API are not,
        though they may look like sentences of ours."""
        self.begin(names=["connection refused"], mappings=5, trouble=True, nodes=1)
        english = (await self.ask("GET", "/v1/status")).json
        chinese = (await self.ask("GET", "/v1/status?lang=zh")).json
        reasons = [next(each["reason"] for each in found["mappings"] if each["reason"]) for found in (english, chinese)]
        self.assertEqual(reasons, ["no answer within 5 s", "5 秒内没有应答"])
        self.assertEqual(chinese["sessions"][0]["name"], "connection refused")
        self.assertEqual(chinese["role"]["role"], "server")
        refused = [found["sessions"][0]["refused_nodes"] for found in (english, chinese)]
        self.assertEqual(refused, [{"node-0": NOT_ALLOWED}, {"node-0": "服务端上它的 allow_nodes 没有列出该节点"}])
        self.assertEqual(chinese["sessions"][0]["nodes"], ["node-1"])
        (first, *_) = (await self.ask("GET", "/v1/events?lang=zh&limit=1")).json["events"]
        self.assertIn("无法重新打开", first["text"])
        failed = await self.ask("POST", "/v1/kick?lang=zh", near=True, client="nobody")
        self.assertIn("没有", failed.json["error"])
        self.assertEqual((await self.ask("GET", "/v1/status?lang=xx")).status, 400)

    async def test_last_event(self) -> None:
        """The status says when the latest event was, so that a page need not ask for all each time."""
        self.begin(names=[])
        self.assertIsNone((await self.ask("GET", "/v1/status")).json["last_event"])
        await self.log_in(code=self.admin.logins.link())
        said = (await self.ask("GET", "/v1/status")).json["last_event"]
        (event,) = (await self.ask("GET", "/v1/events")).json["events"]
        self.assertEqual((said, "has logged in" in event["text"]), (event["time"], True))


