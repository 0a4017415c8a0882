// What the page says, in both languages. What the process says comes translated from there.

const WORDS = {
  about: ["version {version}, up {age}, log level {level}", "版本 {version}，已运行 {age}，日志级别 {level}"],
  ago: ["{time} ago", "{time}前"],
  all: ["All", "全部"],
  axisNow: ["now", "现在"],
  back: ["from targets", "返回"],
  cancel: ["Cancel", "取消"],
  check_client: ["client", "客户端"],
  check_control_port: ["control port", "控制端口"],
  check_descriptors: ["descriptors", "文件描述符"],
  check_drain: ["drain", "排空"],
  check_event_loop: ["event loop", "事件循环"],
  check_heartbeat: ["heartbeat", "心跳"],
  check_links: ["links", "链路"],
  check_servers: ["servers", "服务端"],
  client: ["Client", "客户端"],
  clients: ["Clients", "客户端"],
  clientsConnected: ["Clients connected", "已连接的客户端"],
  columnAddress: ["Address", "地址"],
  columnDown: ["From target", "返回"],
  columnFailed: ["Failed", "失败"],
  columnFrom: ["From", "来自"],
  columnLegs: ["Legs", "支路"],
  columnMappings: ["Mappings", "映射"],
  columnPeak: ["Most at a time", "同时最多"],
  columnPong: ["Last pong", "最近心跳"],
  columnServed: ["Served", "已服务"],
  columnSince: ["Since", "时长"],
  columnState: ["State", "状态"],
  columnTarget: ["Target", "目标"],
  columnTrip: ["Round trip", "往返"],
  columnUp: ["To target", "去往目标"],
  columnVisitors: ["Visitors", "访客"],
  connectedAgain: ["The process answers again", "进程恢复应答"],
  day: ["{n} d", "{n} 天"],
  descriptors: ["File descriptors", "文件描述符"],
  drain: ["Drain…", "排空…"],
  drainDo: ["Drain", "排空"],
  drainTitle: ["Drain this process?", "排空此进程？"],
  drainWhyClient: [
    "Its servers accept no new visitors; those already here have this many seconds to finish, then they are reset. The process keeps running, but serves nobody until it is restarted.",
    "它的服务端不再接受新访客；现有访客在所填的秒数内收尾，之后被重置。进程继续运行，但在重新启动之前不再提供服务。"],
  drainWhyServer: [
    "No new visitors are accepted; those already here have this many seconds to finish, then they are reset. Clients disconnect, and the process serves nobody until it is restarted.",
    "不再接受新访客；现有访客在所填的秒数内收尾，之后被重置。客户端会离开，进程在重新启动之前不再提供服务。"],
  draining: ["draining", "正在排空"],
  drainBegun: ["Draining: no visitors|Draining: {n} visitor|Draining: {n} visitors", "正在排空：还有 {n} 位访客"],
  emptyClients: [
    "No client is connected. Add one here with: gotunnel client add NAME",
    "没有客户端连接。在本机添加一个：gotunnel client add 名字"],
  emptyEvents: ["Nothing has happened yet.", "还没有任何事件。"],
  emptyMappings: [
    "Nothing is published yet: a client names its mappings in its own file.",
    "还没有发布任何端口：映射写在客户端自己的配置文件里。"],
  emptyMappingsClient: [
    "Nothing is published: name mappings in the client's file (client.mappings), then run gotunnel reload",
    "没有发布任何端口：把映射写进客户端配置（client.mappings），然后运行 gotunnel reload"],
  emptySearch: ["Nothing matches the search.", "没有符合搜索的内容。"],
  emptyServers: ["No server is known yet.", "还不知道任何服务端。"],
  emptyVisitors: ["No visitor is here.", "没有访客。"],
  events: ["Recent events", "最近事件"],
  eventsShown: ["Which events are shown", "显示哪些事件"],
  figures: ["Figures by the minute", "每分钟的数据"],
  foot: [
    "While it is visible, this page asks the process itself every two seconds; it loads nothing from elsewhere.",
    "本页可见时每两秒询问一次进程本身，不加载任何外部资源。"],
  foundCount: ["{n} of {all} match", "{all} 项中有 {n} 项符合"],
  history: ["Traffic history", "流量历史"],
  historyBy: ["By mapping", "按映射"],
  historyNone: ["Nothing was carried in this time.", "这段时间没有流量。"],
  historyText: [
    "{down} from targets and {up} to targets; {n} visitors, {failed} failed, at most {peak} at a time",
    "返回 {down}，去往目标 {up}；访客 {n} 位，其中失败 {failed} 位，同时最多 {peak} 位"],
  hour: ["{n} h", "{n} 小时"],
  kick: ["Kick", "断开"],
  kickTitle: ["Disconnect client {name}?", "断开客户端 {name}？"],
  kickWhy: [
    "It has no visitors. It may come back at once; to keep it out: gotunnel client revoke {name}|Its visitor is disconnected, too. It may come back at once; to keep it out: gotunnel client revoke {name}|Its {n} visitors are disconnected, too. It may come back at once; to keep it out: gotunnel client revoke {name}",
    "它的 {n} 位访客会被切断。它可能立刻回来；要阻止它：gotunnel client revoke {name}"],
  kicked: ["{name} is disconnected, with no visitors|{name} is disconnected, with {n} visitor|{name} is disconnected, with {n} visitors",
    "{name} 已断开，切断了 {n} 位访客"],
  leave: ["Reconnect", "重连"],
  leaveTitle: ["Disconnect from server {name} and reconnect?", "断开服务端 {name} 再重连？"],
  leaveWhy: ["No visitor is disconnected. The client reconnects automatically.|{n} visitor is disconnected. The client reconnects automatically.|{n} visitors are disconnected. The client reconnects automatically.",
    "{n} 位访客会被切断。客户端会自动重新连接。"],
  kind_egress: ["egress", "egress 套接字"],
  kind_forward: ["forward", "正向转发"],
  kind_listener: ["listener", "监听器"],
  kind_mapping: ["mapping", "映射"],
  level_critical: ["critical", "严重"],
  level_error: ["error", "错误"],
  level_info: ["info", "信息"],
  level_warn: ["warning", "警告"],
  logIn: ["Log in", "登录"],
  logOut: ["Log out", "退出登录"],
  loggedIn: ["Logged in: what can be changed has a button now", "已登录：可更改之处现在有了按钮"],
  loggedOut: ["Logged out", "已退出登录"],
  loginCure: [
    "Or run gotunnel dashboard on the machine of the process: it prints a link that logs you in.",
    "或者在进程所在的机器上运行 gotunnel dashboard，它会打印一个可直接登录的链接。"],
  loginCureNoToken: [
    "Run gotunnel dashboard on the machine of the process: it prints a link that logs you in. To log in here with a token, set admin.token_file in the configuration and restart the process.",
    "在进程所在的机器上运行 gotunnel dashboard，它会打印一个可直接登录的链接。若要在此用令牌登录，请在配置中设置 admin.token_file 并重新启动进程。"],
  loginWhy: [
    "To kick, drain, or switch a mapping off, this page must know that it is you.",
    "要断开、排空或关闭映射，本页必须确认是您本人。"],
  loginWhyRead: ["Log in to see what this process does.", "登录后才能查看此进程的状况。"],
  lost: ["The process does not answer.", "进程没有应答。"],
  lostNext: ["Next try in {pause}.", "{pause}后重试。"],
  lostSince: ["The figures are {time} old. Next try in {pause}.", "显示的是 {time}前的状况。{pause}后重试。"],
  mapping: ["Mapping", "映射"],
  mappings: ["Mappings", "映射"],
  mappingsOpen: ["Mappings open", "开放的映射"],
  minute: ["{n} min", "{n} 分钟"],
  nodes: ["nodes: {nodes}", "节点：{nodes}"],
  nodesRefused: ["nodes refused: {nodes} ({reason})", "被拒绝的节点：{nodes}（{reason}）"],
  notAnswered: ["This did not reach the process: it does not answer", "请求没有送达：进程没有应答"],
  notReady: ["not ready", "未就绪"],
  now: ["now", "刚刚"],
  newEvents: ["No new warnings|{n} new warning: {text}|{n} new warnings, the last one: {text}", "{n} 条新警告，最近一条：{text}"],
  plotPeople: ["Visitors", "访客"],
  plotPeopleText: ["{live} here now, {pending} waiting; highest {most} in {time}", "现在 {live} 位，{pending} 位等待；{time}内最高 {most}"],
  plotTraffic: ["Throughput", "吞吐量"],
  plotTrafficText: ["{down} from targets and {up} to targets now; highest {most} in {time}", "现在返回 {down}，去往目标 {up}；{time}内最高 {most}"],
  plotWait: ["The plot begins with the next answers…", "图表从下一次应答开始…"],
  problems: ["Problems", "有问题的"],
  ready: ["ready", "就绪"],
  so: ["{a} ({b})", "{a}（已 {b}）"],
  reset: ["Reset", "重置"],
  resetDone: ["Visitor {name} is reset", "访客 {name} 已重置"],
  resetTitle: ["Reset visitor {name}?", "重置访客 {name}？"],
  resetWhy: ["Its connection to {mapping} is reset.", "他到 {mapping} 的连接会被切断。"],
  role_client: ["gotunnel client", "gotunnel 客户端"],
  role_server: ["gotunnel server", "gotunnel 服务端"],
  search: ["Search", "搜索"],
  searchHint: ["name, address, port, state…", "名字、地址、端口、状态…"],
  second: ["{n} s", "{n} 秒"],
  seconds: ["Seconds to finish", "收尾秒数"],
  server: ["Server", "服务端"],
  servers: ["Servers", "服务端"],
  serversConnected: ["Servers connected", "已连接的服务端"],
  sessionOver: ["You have been logged out: the session has ended", "登录已失效：会话已结束"],
  showAll: ["Show all {n}", "显示全部 {n} 项"],
  showFewer: ["Show fewer", "收起"],
  skip: ["Skip to the content", "跳到内容"],
  sortBy: ["Sort by", "排序"],
  span_24h: ["24 hours", "24 小时"],
  span_30d: ["30 days", "30 天"],
  span_365d: ["A year", "一年"],
  span_7d: ["7 days", "7 天"],
  spansShown: ["Which time is shown", "显示哪段时间"],
  state_away: ["away", "不在"],
  state_connected: ["connected", "已连接"],
  state_connecting: ["connecting", "正在连接"],
  state_dialling: ["dialling", "正在拨号"],
  state_down: ["down", "目标不可用"],
  state_draining: ["draining", "正在排空"],
  state_failed: ["failed", "失败"],
  state_off: ["off", "已关闭"],
  state_open: ["open", "开放"],
  state_pending: ["pending", "尚未打开"],
  state_refused: ["refused", "被拒绝"],
  state_waiting: ["waiting", "等待中"],
  statesShown: ["Which mappings are shown", "显示哪些映射"],
  switchOff: ["Switch off", "关闭"],
  switchOffTitle: ["Switch mapping {name} off?", "关闭映射 {name}？"],
  switchOffWhy: [
    "No new visitors are accepted; those already here may finish. It stays off until it is switched on again, or until this process restarts.",
    "不再接受新访客，现有访客可以收尾。它会一直关闭，直到重新打开，或此进程重新启动。"],
  switchOn: ["Switch on", "打开"],
  switchOnTitle: ["Switch mapping {name} on?", "打开映射 {name}？"],
  switchOnWhy: ["It accepts visitors again.", "访客可以再次进入。"],
  switchedOff: ["Mapping {name} is off", "映射 {name} 已关闭"],
  switchedOn: ["Mapping {name} is on", "映射 {name} 已打开"],
  theme_auto: ["Theme: as the system", "主题：跟随系统"],
  theme_dark: ["Theme: dark", "主题：深色"],
  theme_light: ["Theme: light", "主题：浅色"],
  throughput: ["Throughput", "吞吐量"],
  token: ["Admin token", "管理令牌"],
  toTargets: ["to targets", "去往目标"],
  tryNow: ["Try now", "立即重试"],
  visitor: ["Visitor", "访客"],
  visitors: ["Visitors", "访客"],
  visitorsFirst: ["the first {n}", "前 {n} 位"],
  visitorsNow: ["Visitors now", "当前访客"],
  waiting: ["{n} waiting", "{n} 位等待"],
  warnings: ["Warnings", "警告"],
  withoutTls: ["without TLS", "没有 TLS"],
};

const NAMES = ["en", "zh"];
const KEY = "gotunnel.language";

let current = chosen() ?? ofBrowser();

function chosen() {
  const name = remembered(KEY);
  return NAMES.includes(name) ? name : null;
}

function ofBrowser() {
  const first = (navigator.languages ?? [navigator.language]).find((name) => /^(zh|en)\b/i.test(name));
  return first && first.toLowerCase().startsWith("zh") ? "zh" : "en";
}

/** What the browser keeps for this page; null where it keeps nothing. */
export function remembered(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

export function remember(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // A browser that keeps nothing forgets it with the page.
  }
}

export function language() {
  return current;
}

/** How figures and dates are written: as the browser's owner is used to, if he speaks this language. */
export function locale() {
  return (navigator.languages ?? []).find((name) => name.toLowerCase().startsWith(current)) ?? current;
}

export function otherLanguage() {
  return current === "en" ? "zh" : "en";
}

export function setLanguage(name) {
  current = name;
  remember(KEY, name);
}

/** Say a word with values in its places; of "none|one|many" by `n`. */
export function say(key, values = {}) {
  let text = WORDS[key][NAMES.indexOf(current)];
  const forms = text.split("|");
  if (forms.length > 1) text = forms[Math.min(values.n, 2)];
  return text.replace(/\{(\w+)\}/g, (place, name) => (name in values ? String(values[name]) : place));
}

/** Say a word of the API, as it is if it is new to this page. */
export function sayWord(kind, word) {
  return `${kind}_${word}` in WORDS ? say(`${kind}_${word}`) : word;
}

/** Say what was looked at: one of a few things, or a mapping or forward by its name. */
export function sayCheck(check) {
  const [kind, ...name] = check.split(" "), key = `check_${check.replaceAll(" ", "_")}`;
  return key in WORDS ? say(key) : [sayWord("kind", kind), ...name].join(" ");
}

/** Put the words into what stands in the HTML. */
export function speak() {
  document.documentElement.lang = current === "zh" ? "zh-CN" : "en";
  for (const element of document.querySelectorAll("[data-word]")) element.textContent = say(element.dataset.word);
  for (const element of document.querySelectorAll("[data-word-label]"))
    element.setAttribute("aria-label", say(element.dataset.wordLabel));
  for (const element of document.querySelectorAll("[data-word-placeholder]"))
    element.placeholder = say(element.dataset.wordPlaceholder);
}
