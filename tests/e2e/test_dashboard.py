"""The page in a real browser: what it shows, what can be done with the keyboard alone, and what hostile names do to it.
Most of it is about a role that is made up; the last tests are about real processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.admin.scene import TOKEN
from tests.e2e.browser import Watched, chromium
from tests.e2e.harness import Program, TunnelTestCase
from tests.e2e.peers import Service, echo

LOOKING = Path(__file__).with_name("looking.js").read_text("utf-8")
HOSTILE = [
    "<img src=x onerror=alert(1)>", '"><script>alert(1)</script>', "';alert(1);//", "javascript:alert(1)", "{n}|{all}",
    "&lt;b&gt;", "a" * 200, "\u202eevil",
]  # fmt: skip


class BrowserTestCase(TunnelTestCase):
    """A browser, of which each page must have complained of nothing and asked nobody else when its test ends."""

    def setUp(self) -> None:
        super().setUp()
        self.browser = chromium(self)
        self.secrets.append(TOKEN)
        self.pages: list[tuple[Watched, str]] = []
        self.addCleanup(self._nothing_wrong)

    def scene(self, port: int = 0, **wish: Any) -> tuple[str, Program]:
        """Show a role that is made up; return where."""
        folder = self.folder / f"scene{len(self.programs)}"
        folder.mkdir()
        wish = {"folder": str(folder), "host": self.host, "port": port, **wish}
        program = self.launch("scene", [sys.executable, "-m", "tests.admin.scene", json.dumps(wish)])
        found = program.wait_for(r"shown at (\d+)")
        return f"{self.host}:{found[1]}", program

    def open(self, where: str, *, path: str = "/", ready: bool = True, **context: Any) -> Any:
        """Open the page in a browser that knows nothing yet, and wait until it shows something."""
        values = {"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", **context}
        made = self.browser.new_context(**values)
        self.addCleanup(made.close)
        watched = Watched(made)
        self.pages.append((watched, where))
        page = watched.page
        page.set_default_timeout(20_000)
        page.goto(f"http://{where}{path}")
        if ready:
            page.wait_for_selector("#mappings h2")
            page.wait_for_function("() => document.querySelector('#about').textContent !== ''")
        return page

    def log_in(self, page: Any, token: str = TOKEN) -> None:
        """By the token, where all can be read without it or where it cannot."""
        if page.locator("#login").is_visible():
            page.click("#login")
        page.fill("#token", token)
        page.keyboard.press("Enter")
        page.wait_for_selector("#logout:visible")

    def assert_usable(self, page: Any, what: str) -> None:
        """Nobody who sees badly, or has no mouse, finds anything wrong."""
        self.assertEqual(page.evaluate(LOOKING), [], what)

    def _nothing_wrong(self) -> None:
        for watched, where in self.pages:
            self.assertEqual(watched.wrong(where), [])


class LookingTests(BrowserTestCase):
    """What is shown."""

    def test_all_there(self) -> None:
        """Clients with their addresses, mappings with state and reason, figures, events; and what is searched for, in
        all of them at once."""
        where, _ = self.scene(mappings=12, clients=4, trouble=True)
        page = self.open(where)
        text = page.inner_text("body")
        for words in (
            "gotunnel server 0.0.0.0:17000", "ready", "worker-1", "203.0.113.10:40000", "its ports are closed in 18 s",
            "no answer within 5 s", "9\n/ 12", "listens there (3 min 26 s)", "up 2 d 5 h", "cannot open again",
            "warning",
        ):  # fmt: skip
            self.assertIn(words, text)
        since = page.locator("#sessions tbody tr:first-child td[data-title=Since] span")
        self.assertIn("1 h", since.inner_text())
        self.assertRegex(since.get_attribute("title"), r"\d{4}.*\d\d:\d\d:\d\d")
        page.wait_for_function("() => document.querySelector('#traffic-text').textContent.includes('/s')")
        self.assertEqual(page.locator("figure svg[role=img] path.line").count(), 4)
        page.click("#traffic-text ~ details summary")
        page.wait_for_function(
            "() => /\\d\\d:\\d\\d\\s+[\\d.]+ MiB\\/s/.test("
            "document.querySelector('#traffic-text ~ details tbody').innerText)"
        )  # it is filled when it opens
        page.fill("#search", "WORKER-2 web")
        self.assertEqual(page.locator("#mappings tbody tr").count(), 3)
        self.assertIn("6 of", page.inner_text("#found"))
        page.fill("#search", "no such thing")
        self.assertEqual(page.locator("p.empty:visible").count(), 3)
        page.fill("#search", "")
        page.click("#mappings button:text-is('Problems')")
        self.assertEqual(page.locator("#mappings tbody tr").count(), 3)
        page.click("#mappings button:text-is('All')")
        page.click("#mappings th button:text-is('Served')")
        page.click("#mappings th button:text-is('Served')")
        self.assertEqual(page.locator("#mappings th[aria-sort=descending]").inner_text().strip()[:6], "Served")
        self.assertEqual(page.locator("#mappings tbody th").first.inner_text(), "web-12")
        page.click("#visitors summary")
        page.wait_for_selector("#visitors tbody tr")
        self.assertIn("198.51.100.3:50003", page.inner_text("#visitors"))

    def test_nodes(self) -> None:
        """Nodes are below their client, the first few of many; the tooltip has all of them, and the search finds each;
        those that are refused are below the state, with the reason. Where there are none nothing is said of them."""
        where, _ = self.scene(clients=3, nodes=40)
        page = self.open(where)
        first = page.locator("#sessions tbody tr:first-child th")
        self.assertEqual(first.locator(".below").inner_text(), "nodes: node-1, node-2, node-3 +37")
        self.assertIn("gotunnel/0.1 node-1 node-2 ", first.locator("span").first.get_attribute("title"))
        refused = page.locator("#sessions tbody tr:last-child td[data-title=State] .below")
        self.assertEqual(
            refused.inner_text(), "nodes refused: node-0 (its allow_nodes on the server does not name it)"
        )
        self.assertEqual(page.locator("#sessions .below").count(), 2)
        page.fill("#search", "node-40")
        self.assertEqual(page.locator("#sessions tbody th").inner_text().split()[0], "worker-1")
        page.fill("#search", "node-0")
        self.assertEqual(page.locator("#sessions tbody th").inner_text(), "worker-3")
        page.fill("#search", "")
        page.click("#language")
        page.wait_for_selector("#sessions :text('被拒绝的节点：node-0（服务端上它的 allow_nodes')")

    def test_history(self) -> None:
        """What was carried is drawn, added up in words, and told by mapping, over a day or another time."""
        where, _ = self.scene(mappings=12)
        page = self.open(where)
        page.wait_for_selector("#history rect.bar0")
        self.assertEqual(page.locator("#history rect.bar0").count(), 49)
        told = page.inner_text("#history-text")
        self.assertRegex(told, r"GiB from targets and .* GiB to .*[\d,]+ visitors, \d+ failed")
        page.click("#history button:text-is('30 days')")
        page.wait_for_function("() => document.querySelectorAll('#history rect.bar0').length === 31")
        page.click("#history summary")
        self.assertEqual(page.locator("#history tbody tr").count(), 12)
        page.fill("#search", "web-12 worker-3")
        self.assertEqual(page.locator("#history tbody tr").count(), 1)

    def test_usable(self) -> None:
        """Contrast, names, sizes and widths are right, light and dark, at a desk and on a phone, in both languages,
        with nothing, a little and 500 mappings, and in dialogs."""
        many, _ = self.scene(mappings=500, clients=30, streams=200, trouble=True, token=TOKEN)
        none, _ = self.scene(mappings=0, clients=0, streams=0)
        client, _ = self.scene(role="client", mappings=3, clients=1, token=TOKEN)
        phone, desk = {"width": 360, "height": 740}, {"width": 1280, "height": 900}
        for where, view, scheme, locale in (
            (many, phone, "dark", "zh-CN"), (many, desk, "light", "en-GB"), (client, phone, "light", "en-GB"),
            (client, desk, "dark", "zh-CN"), (none, phone, "light", "zh-CN"), (none, desk, "dark", "en-GB"),
        ):  # fmt: skip
            what = f"{where} {view} {scheme} {locale}"
            page = self.open(where, ready=where == none, viewport=view, color_scheme=scheme, locale=locale)
            if where != none:
                page.wait_for_selector("#gate:visible")
                self.assert_usable(page, f"{what}, locked")
                self.log_in(page)
                page.wait_for_selector("#mappings tbody tr")
            self.assert_usable(page, what)
            if where == many:
                rows = page.locator("#mappings tbody tr")
                self.assertEqual(rows.count(), 50)
                page.click("#mappings .more")
                self.assertEqual(rows.count(), 500)
                self.assert_usable(page, f"{what}, all")
            page.click("#drain" if where != none else "#login")
            self.assert_usable(page, f"{what}, a dialog")
            page.keyboard.press("Escape")

    def test_language_and_theme(self) -> None:
        """The browser's language and theme are taken; what somebody chooses instead is remembered. The words of the
        process are translated too."""
        where, _ = self.scene(mappings=12, trouble=True)
        page = self.open(where, locale="zh-CN", color_scheme="dark")
        self.assertIn("5 秒内没有应答", page.inner_text("#mappings"))
        self.assertIn("无法重新打开", page.inner_text("#events"))
        self.assertEqual(page.get_attribute("html", "lang"), "zh-CN")
        ground = "getComputedStyle(document.body).backgroundColor"
        dark = page.evaluate(ground)
        page.click("#language")
        page.wait_for_selector("#events :text('cannot open again')")
        page.click("#theme")
        light = page.evaluate(ground)
        page.reload()
        page.wait_for_selector("#mappings tbody tr")
        self.assertIn("no answer within 5 s", page.inner_text("#mappings"))
        self.assertEqual((page.get_attribute("html", "lang"), page.inner_text("#theme")), ("en", "Theme: light"))
        self.assertEqual(page.evaluate(ground), light)
        self.assertNotEqual(dark, light)

    def test_hostile_names(self) -> None:
        """What a client calls itself is text, and nothing else."""
        where, _ = self.scene(names=HOSTILE, mappings=8, token=TOKEN)
        page = self.open(where, ready=False, viewport={"width": 360, "height": 740})
        self.log_in(page)
        page.wait_for_selector("#sessions tbody tr")
        shown = page.locator("#sessions tbody th span:first-child").all_text_contents()
        self.assertEqual(sorted(shown), sorted(HOSTILE))
        self.assertEqual(page.locator("#shown img, #shown script, #shown b").count(), 0)
        self.assert_usable(page, "hostile")
        page.fill("#search", HOSTILE[0])
        page.click("#sessions .acts button")
        self.assertIn(HOSTILE[0], page.inner_text("#confirm"))
        page.click("#confirm-yes")
        page.wait_for_selector("#said:text('is disconnected')")
        self.assertIn(HOSTILE[0], page.inner_text("#said"))

    def test_lost(self) -> None:
        """A process that is gone is told, once to a screen reader and each second to the eyes. When it was started anew
        one must log in again, and sees nothing until then."""
        where, program = self.scene(token=TOKEN)
        page = self.open(where, ready=False)
        self.log_in(page)
        page.wait_for_selector("#sessions tbody tr")
        self.pages[-1][0].expected = ("ERR_CONNECTION_REFUSED", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET", "401")
        program.process.kill()
        program.process.wait()
        page.wait_for_selector("#lost:visible")
        alert = "document.querySelector('#lost strong').textContent"
        self.assertEqual(page.evaluate(alert), "The process does not answer.")
        self.assertRegex(page.inner_text("#lost"), r"Next try in \d+ s")
        self.assertIn("worker-1", page.inner_text("#sessions"))
        self.scene(port=int(where.partition(":")[2]), token=TOKEN)
        page.click("#lost button")
        page.wait_for_selector("#gate:visible", timeout=40_000)
        page.wait_for_selector("#lost", state="hidden")
        self.assertIn("logged out", page.inner_text("#said"))
        self.log_in(page)
        page.wait_for_selector("#sessions tbody tr")

    def test_background(self) -> None:
        """A page that nobody sees asks seldom, and at once when somebody sees it again."""
        where, _ = self.scene()
        page = self.open(where)
        asked = self.pages[-1][0].asked
        self.wait_until(lambda: self._turn(page, 100) or len(asked) > 25, "it asks while it is seen", seconds=30)
        page.evaluate("""() => {
            Object.defineProperty(document, "hidden", { configurable: true, get: () => globalThis.unseen });
            globalThis.unseen = true;
            document.dispatchEvent(new Event("visibilitychange"));
        }""")
        self._turn(page, 300)  # what was on its way
        before = len(asked)
        self._turn(page, 4500)
        self.assertEqual(len(asked), before)
        page.evaluate("() => { globalThis.unseen = false; document.dispatchEvent(new Event('visibilitychange')); }")
        self._turn(page, 500)
        self.assertGreater(len(asked), before)

    @staticmethod
    def _turn(page: Any, milliseconds: int) -> None:
        page.wait_for_timeout(milliseconds)


class ActingTests(BrowserTestCase):
    """What can be done."""

    def press(self, page: Any, *keys: str) -> None:
        """Press keys."""
        for key in keys:
            page.keyboard.press(key)

    def tab_to(self, page: Any, selector: str, most: int = 60) -> None:
        """Press Tab until something has the focus, which must be seen to have it."""
        for _ in range(most):
            page.keyboard.press("Tab")
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                self.assertNotEqual(page.evaluate("getComputedStyle(document.activeElement).outlineStyle"), "none")
                return
        self.fail(f"Tab does not lead to {selector}")

    def test_keyboard(self) -> None:
        """All the way without a mouse: log in, skip to the content, search, kick, think better of it, kick; the focus
        comes back to where it was, also when the page is drawn anew under it."""
        where, _ = self.scene(token=TOKEN)
        page = self.open(where, ready=False)
        page.wait_for_selector("#gate:visible")
        self.tab_to(page, ".skip", 1)
        self.press(page, "Enter")
        self.assertEqual(page.evaluate("document.activeElement.id"), "content")
        self.tab_to(page, "#token", 1)
        page.keyboard.type(TOKEN)
        self.press(page, "Enter")
        page.wait_for_selector("#sessions tbody tr")
        self.assertEqual(page.evaluate("document.activeElement.id"), "content")
        self.tab_to(page, "#search")
        page.keyboard.type("worker-2")
        self.tab_to(page, "#sessions .acts button")
        self.assertEqual(page.evaluate("document.activeElement.getAttribute('aria-label')"), "Kick: worker-2")
        self.press(page, "Enter")
        self.assertTrue(page.locator("#confirm").is_visible())
        self.assertEqual(page.evaluate("document.activeElement.value"), "no")
        self.press(page, "Escape")
        self.assertFalse(page.locator("#confirm").is_visible())
        page.wait_for_timeout(2600)
        self.assertEqual(page.evaluate("document.activeElement.getAttribute('aria-label')"), "Kick: worker-2")
        self.press(page, "Enter", "Tab", "Enter")
        page.wait_for_selector("#said:text('worker-2 is disconnected, with 3 visitors')")
        page.wait_for_function("() => document.querySelectorAll('#sessions tbody tr').length === 0")
        self.assertEqual(page.get_attribute("#said", "aria-live"), "polite")
        page.wait_for_function("() => document.querySelector('#news').textContent.includes('ended the session')")

    def test_login(self) -> None:
        """Where all can be read nothing can be changed before one logs in, nor after he has logged out; a wrong token
        is told where it was typed. Of a history that is not kept nothing is shown or asked."""
        where, _ = self.scene(history=False)
        page = self.open(where)
        self.assertFalse(page.locator("#history").is_visible())
        self.assertEqual([url for url in self.pages[-1][0].asked if "usage" in url], [])
        self.assertEqual(page.locator(".acts button, #drain:visible, #logout:visible").count(), 0)
        page.click("#login")
        self.assertIn("gotunnel dashboard", page.inner_text("#login-dialog"))
        self.assertFalse(page.locator("#token").is_visible())
        page.click("#login-cancel")
        where, _ = self.scene(token=TOKEN)
        page = self.open(where, ready=False)
        page.wait_for_selector("#gate:visible")
        self.assertNotIn("17000", page.content())
        self.pages[-1][0].expected = ("401",)
        page.fill("#token", "x" * 32)
        page.keyboard.press("Enter")
        page.wait_for_selector("#login-wrong:text('this is not the token')")
        self.log_in(page)
        page.wait_for_selector("#mappings .acts button")
        self.assertEqual(page.evaluate("document.cookie"), "")
        page.click("#logout")
        page.wait_for_selector("#gate:visible")
        self.assertFalse(page.locator("#shown").is_visible())

    def test_mapping_and_drain(self) -> None:
        """A mapping is switched off and on again, and a drain is told on the page."""
        where, _ = self.scene(token=TOKEN)
        page = self.open(where, ready=False)
        self.log_in(page)
        page.click("#mappings .acts button >> nth=0")
        page.click("#confirm-yes")
        page.wait_for_selector("#mappings tbody tr:first-child :text-is('off')")
        self.assertIn("switched off by an operator", page.inner_text("#mappings"))
        page.click("#mappings .acts button:text-is('Switch on')")
        page.click("#confirm-yes")
        page.wait_for_selector("#mappings tbody tr:first-child :text-is('open')")
        page.click("#drain")
        page.fill("#seconds", "5")
        page.click("#confirm-yes")
        page.wait_for_selector("#verdict:text-is('draining')")
        self.assertIn("no new visitor is accepted", page.inner_text("#findings"))
        page.click("#language")
        page.wait_for_selector("#findings strong:text-is('排空')")


class RealTests(BrowserTestCase):
    """Real processes, both with a page."""

    def gotunnel(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command."""
        return subprocess.run(
            [sys.executable, "-m", "gotunnel", *words], cwd=self.folder, env=self.environment(), capture_output=True,
            text=True, timeout=60,
        )  # fmt: skip

    def test_both_roles(self) -> None:
        """By the link that the command prints: a public port is closed and opened by a click on the server's page, and
        taken offline and back on the client's, with a visitor who streams on through all of it."""
        admin = {role: f"{self.host}:{self.port()}" for role in ("server", "client")}
        service, public = Service(self, echo), self.port()
        self.server(admin={"addr": admin["server"], "token": TOKEN})
        self.client({"web": (service.address, public)}, admin={"addr": admin["client"], "token": TOKEN})
        visitor = self.visit(public)
        visitor.sendall(b"hello")
        self.assertEqual(visitor.recv(5), b"hello")
        for role in ("server", "client"):
            done = self.gotunnel("dashboard", "--role", role)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            link = done.stdout.strip()
            self.assertTrue(link.startswith(f"http://{admin[role]}/#code="), link)
            self.secrets.append(link.partition("=")[2])
            page = self.open(admin[role], path="/" + link.partition("/#")[2].join(("#", "")), ready=False)
            page.wait_for_selector("#mappings .acts button")
            self.assertEqual(page.url, f"http://{admin[role]}/")
            self.assertIn("web", page.inner_text("#mappings"))
            page.click("#mappings .acts button:text-is('Switch off')")
            page.click("#confirm-yes")
            page.wait_for_selector("#mappings :text('switched off by an operator')")
            self.wait_until(lambda: self.refused(public), "the port is closed")
            visitor.sendall(b"still")
            self.assertEqual(visitor.recv(5), b"still")
            other = self.gotunnel("mapping", "on", "web", "--role", role)
            self.assertEqual((other.returncode, other.stderr), (0, ""))
            self.wait_until(lambda: not self.refused(public), "it is open again")
            page.wait_for_selector("#mappings :text-is('open')")
            page.wait_for_selector("#events :text('has switched mapping web')")
        page.click("#sessions .acts button:text-is('Reconnect')")
        page.click("#confirm-yes")
        page.wait_for_selector("#said:text('1 visitor')")
        self.assertRaises(ConnectionResetError, visitor.recv, 5)

    def test_without_an_address(self) -> None:
        """Where the process has a socket alone the command brings the page to a port, at which a stranger is told
        nothing and the link lets in."""
        self.server()
        port = self.port()
        command = [sys.executable, "-m", "gotunnel", "dashboard", "--role", "server", "--port", str(port)]
        program = self.launch("dashboard", command)
        found = program.wait_for(r"#code=([\w-]+)")
        where = f"127.0.0.1:{port}"
        stranger = self.open(where, ready=False)
        stranger.wait_for_selector("#gate:visible")
        self.assertNotIn(self.host, stranger.content())
        page = self.open(where, path=f"/#code={found[1]}")
        page.wait_for_selector("#drain:visible")
        self.assertIn("No client is connected", page.inner_text("#sessions"))
