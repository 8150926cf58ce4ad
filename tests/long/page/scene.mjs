// A sandbox and a daemon on clocks of one speed, with sessions in every state, and how to ask both.

import { spawn } from "node:child_process";
import { mkdir, writeFile, chmod } from "node:fs/promises";
import { createServer } from "node:net";
import { request } from "node:http";

const PRESENCED = process.env.PRESENCED;
// Hours of strips in minutes.
const SPEED = "60";
const TENANT = "9c7f0000-0000-4000-8000-000000000001";
const NAMES = [
  "Ambulance desk", "Front desk", "Büro Süd", "Cafeteria", "Support queue", "Dispatch", "Empfang Öst",
  "Finance", "Gate 3", "Helpdesk", "Infirmary", "Janitor", "Night porter", "Kvíz & kassa",
  "Library's desk", "Mail room", "North gate", "Operator 1", "Pharmacy counter", "Quay",
  "Réception", "Sales line", "Ticket office", "Underground car park", "Switchboard", "Workshop", "X-ray",
  "Yard", "<script>alert(1)</script>", "\"Zoë\" & Co",
];

export const id = (n) => `4b7d0000-0000-4000-8000-${(0xa000 + n * 257).toString(16).padStart(12, "0")}`;
export const SCRIPT = NAMES.indexOf("<script>alert(1)</script>");

async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

export async function until(what, look, patience = 60_000) {
  const end = Date.now() + patience;
  for (;;) {
    const seen = await look();
    if (seen) return seen;
    if (Date.now() > end) throw new Error(`${what}: not within ${patience} ms`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

function config({ graph, http, users = "name", more = "" }) {
  const app = (name, client, rest = "") =>
    `[[app]]\nname = "${name}"\ntenant = "${TENANT}"\nclient_id = "${client}"\ncloud = { graph = "${graph}", login = "${graph}" }\n` +
    `credential = { secret_file = "app.secret" }\n${rest}\n`;
  const user = (name, n) =>
    `[[user]]\nid = "${id(n)}"\nname = ${JSON.stringify(name)}\naliases = ["${2000 + n}"]\napp = "${n % 3 === 2 ? "fabrikam" : "contoso"}"\n` +
    (n % 5 === 1 ? `availability = "Busy"\nactivity = "InACall"\n` : n % 7 === 3 ? `availability = "Away"\n` : `availability = "Available"\n`);
  return (
    `[daemon]\nstate_dir = "state"\n[control]\nsocket = "control.sock"\n[http]\nlisten = "127.0.0.1:${http}"\n[log]\nusers = "${users}"\n` +
    app("contoso", "22553876-0000-4000-8000-000000000000") +
    app("fabrikam", "22553876-0000-4000-8000-000000000001") +
    NAMES.map(user).join("") + more
  );
}

// Starts both; `stop` ends them.
export async function start(dir) {
  await mkdir(dir, { recursive: true });
  const children = [];
  const run = (args, options = {}) => {
    const child = spawn(PRESENCED, args, { cwd: dir, env: {}, stdio: ["ignore", "pipe", "pipe"], ...options });
    children.push(child);
    child.said = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (child.said += text));
    return child;
  };
  const epoch = new Date().toISOString();
  const sandbox = run(["sandbox", "--listen", "127.0.0.1:0", "--speed", SPEED, "--epoch", epoch]);
  const [, graph] = await until("the sandbox listens", () => sandbox.said.match(/^listening on (\S+)$/m));
  const http = await freePort();
  await writeFile(`${dir}/app.secret`, "secret\n");
  await chmod(`${dir}/app.secret`, 0o600);
  const write = (rest) => writeFile(`${dir}/config.toml`, config({ graph, http, ...rest }));
  await write({});
  const daemon = run(["run", "--config", "config.toml", "--log-format", "json", "--speed", SPEED, "--epoch", epoch]);
  const ended = (child) => child.exitCode !== null || child.signalCode !== null;
  const control = (method, path, body) =>
    new Promise((done, failed) => {
      const options = { socketPath: `${dir}/control.sock`, method, path, headers: { "content-type": "application/json" } };
      const asked = request(options, (answer) => {
        let text = "";
        answer.on("data", (part) => (text += part));
        answer.on("end", () => done({ status: answer.statusCode, body: text && JSON.parse(text) }));
      });
      asked.on("error", failed);
      asked.end(body === undefined ? undefined : JSON.stringify(body));
    });
  return {
    url: `http://127.0.0.1:${http}/`,
    write,
    control,
    // How so many sessions of all stand.
    until: (what, holds) =>
      until(what, async () => {
        if (ended(daemon)) throw new Error(`the daemon has ended: ${daemon.said}`);
        const answer = await control("GET", "/v1/status").catch(() => undefined);
        return answer?.status === 200 && holds(answer.body) && answer.body;
      }),
    faults: async (patch) => {
      const answer = await fetch(`${graph}/sandbox/faults`, { method: "POST", body: JSON.stringify(patch) });
      if (!answer.ok) throw new Error(`faults: ${await answer.text()}`);
    },
    silence: () => daemon.kill("SIGSTOP"),
    speak: () => daemon.kill("SIGCONT"),
    stop: async () => {
      for (const child of children) child.kill("SIGKILL");
      await Promise.all(children.map((child) => until("its end", () => ended(child))));
    },
  };
}
