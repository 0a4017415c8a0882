// What the tables show of the API's words: sessions, mappings and visitors, and what can be done to each.

import { loggedIn } from "./ask.js";
import { began, bytes, lasting, number, short } from "./format.js";
import { say, sayWord } from "./words.js";

const GOOD = ["connected", "open"];
const BAD = ["down", "refused", "failed"];

export function isWell(mapping) {
  return mapping.state === "open";
}

function colour(state) {
  return GOOD.includes(state) ? "good" : BAD.includes(state) ? "bad" : "warn";
}

function state(row, age) {
  const below = age ? say("so", { a: row.reason, b: lasting(age) }) : row.reason;
  return { text: sayWord("state", row.state), badge: colour(row.state), below: below || undefined };
}

function stateColumn() {
  return { id: "state", title: "columnState", sort: (row) => row.state, cell: (row) => state(row) };
}

function figure(id, title, value, cell) {
  return { id, title, figure: true, sort: value, cell: cell ?? ((row) => ({ text: number(value(row)) })) };
}

function since(title = "columnSince") {
  return figure("age", title, (row) => row.age, (row) => ({ text: lasting(row.age), hover: began(row.age) }));
}

function carried(field, title) {
  return figure(field, title, (row) => row[field], (row) => ({ text: bytes(row[field]) }));
}

function nodes(word, names, reason) {
  const some = names.slice(0, 3).join(", "), rest = names.length - 3;
  return names.length ? say(word, { nodes: rest > 0 ? `${some} +${rest}` : some, reason }) : "";
}

/** The state of a session, with the nodes that are refused. */
function standing(row) {
  const refused = Object.keys(row.refused_nodes);
  return state({ ...row, reason: row.reason || nodes("nodesRefused", refused, row.refused_nodes[refused[0]]) });
}

/** Clients at a server, servers at a client. `acts` does things: {kick, leave}. */
export function sessionsTable(server, acts) {
  return {
    id: "sessions",
    title: server ? "clients" : "servers",
    key: (row) => row.name,
    empty: () => say(server ? "emptyClients" : "emptyServers"),
    columns: [
      { id: "name", title: server ? "client" : "server", sort: (row) => row.name,
        cell: (row) => {
          const also = row.nodes.join(" "), hover = `${row.agent ?? ""} ${also}`.trim() || undefined;
          return { text: row.name, hover, below: nodes("nodes", row.nodes), also };
        } },
      { ...stateColumn(), cell: standing },
      ...(server ? [{ id: "from", title: "columnFrom", sort: (row) => row.address, cell: (row) => ({ text: row.address }) }] : []),
      since(),
      figure("trip", "columnTrip", (row) => row.round_trip, (row) => ({ text: short(row.round_trip) })),
      figure("pong", "columnPong", (row) => row.pong_age, (row) => ({ text: short(row.pong_age) })),
      figure("mappings", "columnMappings", (row) => row.mappings),
      figure("visitors", "columnVisitors", (row) => row.streams, (row) => ({
        text: number(row.streams), below: row.pending ? say("waiting", { n: number(row.pending) }) : undefined })),
      figure("legs", "columnLegs", (row) => row.legs.idle + row.legs.busy),
    ],
    actions: (row) => {
      if (!loggedIn() || !["connected", "draining"].includes(row.state)) return [];
      const word = say(server ? "kick" : "leave");
      return [{ word, label: `${word}: ${row.name}`, danger: server, act: () => acts.kick(row) }];
    },
  };
}

function apart(mapping) {
  const words = mapping.kind === "mapping" ? [] : [sayWord("kind", mapping.kind)];
  return (mapping.encrypted === false ? [...words, say("withoutTls")] : words).join(", ");
}

/** Mappings, forwards and egress sockets. `acts.switch(row, on)`. */
export function mappingsTable(server, acts) {
  const targets = { id: "target", title: "columnTarget", sort: (row) => row.target ?? "", cell: (row) => ({ text: row.target ?? "" }) };
  const whose = (row) => (server ? row.client : row.server ?? "");
  return {
    id: "mappings",
    title: "mappings",
    key: (row) => JSON.stringify([row.kind, row.server, row.client, row.name]),
    empty: () => say(server ? "emptyMappings" : "emptyMappingsClient"),
    columns: [
      { id: "name", title: "mapping", sort: (row) => row.name,
        cell: (row) => ({ text: row.name, below: apart(row) || undefined }) },
      { id: "whose", title: server ? "client" : "server", sort: whose, cell: (row) => ({ text: whose(row) }) },
      { ...stateColumn(), cell: (row) => state(row, row.age) },
      { id: "address", title: "columnAddress", sort: (row) => row.address, cell: (row) => ({ text: row.address }) },
      ...(server ? [] : [targets]),
      figure("visitors", "columnVisitors", (row) => row.streams),
      figure("served", "columnServed", (row) => row.ended),
      carried("up", "columnUp"),
      carried("down", "columnDown"),
    ],
    actions: (row) => {
      if (!loggedIn() || row.kind !== "mapping") return [];
      const on = row.state === "off", word = say(on ? "switchOn" : "switchOff");
      return [{ word, label: `${word}: ${row.name} (${whose(row)})`, danger: !on, act: () => acts.switch(row, on) }];
    },
  };
}

/** Visitors. `acts.reset(row)`. */
export function visitorsTable(acts) {
  return {
    id: "visitors",
    title: "visitors",
    key: (row) => row.conn,
    empty: () => say("emptyVisitors"),
    columns: [
      { id: "visitor", title: "visitor", sort: (row) => row.visitor, cell: (row) => ({ text: row.visitor, hover: row.conn }) },
      { id: "mapping", title: "mapping", sort: (row) => row.mapping, cell: (row) => ({ text: row.mapping }) },
      { id: "client", title: "client", sort: (row) => row.client, cell: (row) => ({ text: row.client }) },
      stateColumn(),
      since(),
      carried("up", "columnUp"),
      carried("down", "columnDown"),
    ],
    actions: (row) =>
      loggedIn()
        ? [{ word: say("reset"), label: `${say("reset")}: ${row.visitor} (${row.mapping})`, danger: true, act: () => acts.reset(row) }]
        : [],
  };
}
