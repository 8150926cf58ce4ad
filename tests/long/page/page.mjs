// What the status page does in a browser. See `run`.

import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import puppeteer from "puppeteer-core";

import { SCRIPT, id, start, until } from "./scene.mjs";

const [scratch, docs, pictures] = process.argv.slice(2);
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

// Anna is refused, some lapse for a while, one app is throttled, two are overridden, a reload is refused.
async function mixture(scene) {
  await scene.until("all are held", (status) => status.sessions.held === 30);
  const override = (n, source, body) => scene.control("PUT", `/v1/overrides/${id(n)}/${source}`, body);
  await until("some time goes by", async () => minutes(await status(scene)) > 25);
  await override(3, "line-7", { availability: "Busy", activity: "InACall", ttl: "40m", reason: "on the phone" });
  await scene.faults({ users: { [id(0)]: { status: 404 }, [id(5)]: { status: 500 }, [id(6)]: { status: 500 } } });
  await until("some lapse", async () => (await status(scene)).sessions.lapsed >= 2);
  await until("some time goes by", async () => minutes(await status(scene)) > 45);
  await scene.faults({ users: { [id(6)]: null } });
  await until("some time goes by", async () => minutes(await status(scene)) > 80);
  await scene.faults({ outage: { status: 503 } });
  await until("the service is away for six minutes", async () => minutes(await status(scene)) > 87);
  await scene.faults({ outage: null, error_rate: 0.03 });
  await override(1, "line-2", { availability: "DoNotDisturb", ttl: "7d", reason: "<b>do not ring</b>" });
  await override(8, "operator", { availability: "Away", ttl: "8h" });
  await scene.control("POST", "/v1/release", { user: id(18) });
  await until("some time goes by", async () => minutes(await status(scene)) > 200, 180_000);
  await scene.faults({ error_rate: 0 });
  await scene.write({ more: `[[user]]\nid = "no id"\nname = "Nobody"\navailability = "Available"\napp = "contoso"\n` });
  const reload = await scene.control("POST", "/v1/reload", {});
  assert.equal(reload.body.taken, false, "the file is refused");
  await scene.until("it stands as it is to", ({ sessions }) => sessions.parked === 1 && sessions.lapsed === 1 && sessions.late === 0);
}

const status = async (scene) => (await scene.control("GET", "/v1/status")).body;
const minutes = ({ at, started }) => (Date.parse(at) - Date.parse(started)) / 60_000;

async function open(browser, url, { dark = false, width = 1440, height = 900 } = {}) {
  const page = await browser.newPage();
  page.troubles = [];
  page.on("console", (message) => ["error", "warn"].includes(message.type()) && page.troubles.push(message.text()));
  page.on("pageerror", (error) => page.troubles.push(String(error)));
  page.on("request", (asked) => asked.url().startsWith(new URL(url).origin) || page.troubles.push(`elsewhere: ${asked.url()}`));
  page.on("dialog", (dialog) => page.troubles.push(`a dialog: ${dialog.message()}`) && dialog.dismiss());
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }]);
  await page.setViewport({ width, height, deviceScaleFactor: 1 });
  await page.goto(url, { waitUntil: "networkidle0" });
  return page;
}

const text = (page, selector) => page.$eval(selector, (found) => found.innerText);
const rows = (page) => page.$$eval("table.sessions tbody tr", (all) => all.map((row) => row.innerText));

async function loads(page) {
  assert.match(await text(page, "h1"), /^\d+ of 29 sessions are held$/);
  assert.match(await page.title(), / of 29 held · presenced$/);
  assert.equal(await page.$$eval(".card", (all) => all.length), 2);
  assert.match(await text(page, "#notices"), /The reload of .* was refused/);
  assert.equal((await rows(page)).length, 25, "a page of them");
  const [first, second] = await rows(page);
  assert.match(first, /Dispatch[^]*lapsed/, "the worst come first");
  assert.match(second, /Ambulance desk[^]*refused/);
  const strips = await page.$$eval(".strip", (all) => all.map((strip) => strip.getAttribute("aria-label")));
  for (const strip of strips) assert.match(strip, /^In the last 6 h: .+; now .+$/);
  for (const looks of ["held", "overridden", "late", "lapsed", "parked", "released"]) {
    const drawn = await page.$$eval(`.strip rect.${looks}`, (all) => all.filter((bar) => bar.getBoundingClientRect().width >= 1).length);
    assert.ok(drawn > 0, `${looks} can be seen`);
  }
  const heights = await page.$$eval(".plot path.granted", (all) => all.map((path) => path.getBBox().height));
  assert.ok(heights.every((height) => height > 10), `each app has requests: ${heights}`);
  assert.match(await text(page, "#overrides"), /do not ring/);
  assert.equal((await page.$$("#overrides b")).length, 0, "markup in a reason is text");
}

async function lives(page, scene) {
  const before = await text(page, "#as-of");
  await scene.control("PUT", `/v1/overrides/${id(12)}/live`, { availability: "Away", ttl: "7d", reason: "seen at once" });
  await page.waitForFunction(() => document.querySelector("#overrides").innerText.includes("seen at once"), { timeout: 20_000 });
  assert.notEqual(await text(page, "#as-of"), before);
  // What is open and focused stays so.
  const summary = "table.sessions tbody tr:nth-child(4) summary";
  await page.focus(summary);
  await page.keyboard.press("Enter");
  const seen = await text(page, "#as-of");
  await page.waitForFunction((seen) => document.querySelector("#as-of").innerText !== seen, { timeout: 20_000 }, seen);
  assert.ok(await page.$eval(`${summary}`, (summary) => summary.parentElement.open && document.activeElement === summary));
  await page.keyboard.press("Enter");
  // Nothing is asked for while nobody looks or while it is paused.
  let asked = 0;
  page.on("request", () => (asked += 1));
  await page.click(".live button");
  assert.equal(await text(page, ".live [role=status]"), "Paused");
  await new Promise((done) => setTimeout(done, 6_000));
  assert.equal(asked, 0, "paused");
  await page.click(".live button");
  await until("it goes on", () => asked > 0);
}

async function says_that_it_is_old(page, scene) {
  scene.silence();
  await page.waitForFunction(() => document.querySelector(".live").innerText.includes("may be old"), { timeout: 60_000 });
  scene.speak();
  await page.waitForFunction(() => !document.querySelector(".live").innerText.includes("may be old"), { timeout: 60_000 });
  page.troubles = page.troubles.filter((trouble) => !/Failed to load resource/.test(trouble));
}

async function filters(page, scene) {
  const shows = (count, what) =>
    page.waitForFunction(
      (count, what) => {
        const rows = [...document.querySelectorAll("table.sessions tbody tr")];
        return rows.length === count && rows.every((row) => row.innerText.includes(what));
      },
      { timeout: 20_000 },
      count,
      what,
    );
  await page.type("input[name=q]", "süd");
  await shows(1, "Büro Süd");
  assert.equal(new URL(page.url()).searchParams.get("q"), "süd", "a link to it");
  await page.$eval("input[name=q]", (input) => (input.value = ""));
  await page.select("select[name=state]", "parked");
  await shows(1, "Ambulance desk");
  await page.select("select[name=state]", "");
  await page.select("select[name=app]", "fabrikam");
  await shows(10, "fabrikam");
  // The same by a link, and without a script.
  const plain = await page.browser().newPage();
  await plain.setJavaScriptEnabled(false);
  await plain.goto(`${scene.url}?q=%3Cscript%3E`);
  assert.match((await rows(plain)).join(), /^<script>alert\(1\)<\/script>/);
  await plain.goto(scene.url);
  assert.match(await text(plain, "footer"), /Without a script this page stands still/);
  await plain.click(".pages a[rel=next]").catch(() => undefined);
  await plain.waitForSelector(".pages a[rel=prev]");
  assert.equal((await rows(plain)).length, 5, "the other page");
  await plain.type("input[name=q]", "2004");
  await Promise.all([plain.waitForNavigation(), plain.keyboard.press("Enter")]);
  assert.match((await rows(plain)).join(), /^Support queue/, "by an alias, with a key");
  await plain.close();
}

async function keys(page) {
  const stops = [];
  await page.evaluate(() => document.activeElement.blur());
  for (let n = 0; n < 60; n += 1) {
    await page.keyboard.press("Tab");
    const stop = await page.evaluate(() => {
      const at = document.activeElement;
      const style = getComputedStyle(at);
      return { tag: at.localName, name: at.innerText || at.name, ring: style.outlineStyle !== "none" && style.outlineWidth !== "0px" };
    });
    if (stop.tag === "body") break;
    stops.push(stop);
  }
  assert.equal(stops[0].name, "Skip to the sessions");
  assert.ok(stops.every((stop) => stop.ring), `each is seen to have the focus: ${JSON.stringify(stops.filter((stop) => !stop.ring))}`);
  for (const tag of ["button", "a", "input", "select", "summary"]) {
    assert.ok(stops.some((stop) => stop.tag === tag), `${tag} is reached by the keyboard`);
  }
}

async function is_accessible(page, how) {
  await page.evaluate(AXE);
  const { violations, passes } = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
  const told = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.target} ${node.failureSummary}`).slice(0, 3).join("; ")}`);
  assert.deepEqual(told, [], how);
  assert.ok(passes.length > 20, "axe has looked");
  const tree = await page.accessibility.snapshot({ interestingOnly: false });
  const names = new Map();
  const walk = (node) => {
    names.set(node.role, [...(names.get(node.role) ?? []), node.name]);
    for (const child of node.children ?? []) walk(child);
  };
  walk(tree);
  const images = names.get("image") ?? names.get("img") ?? [];
  assert.ok(images.length >= 12 && images.every(Boolean), `every drawing has a name: ${[...names.keys()]}`);
  assert.ok((names.get("table") ?? []).includes("Sessions"), "the list is a table");
  console.log(`${how}: axe has nothing to say, ${passes.length} rules passed`);
}

async function fits(page, width) {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(wide <= width, `nothing stands out at ${width} pixels: ${wide}`);
}

async function picture(page, name, options) {
  if (!pictures) return;
  const path = `${docs}/status-page-${name}.png`;
  await page.screenshot({ path, ...options });
  assert.ok(statSync(path).size < 300_000, `${path} is small`);
}

const scene = await start(`${scratch}/presenced`);
const browser = await puppeteer.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu", "--force-color-profile=srgb"] });
try {
  await mixture(scene);
  const looks = [["light", {}], ["dark", { dark: true }], ["phone", { width: 390, height: 844 }]];
  for (const [name, options] of looks) {
    const page = await open(browser, scene.url, options);
    await picture(page, name, name === "phone" ? { clip: { x: 0, y: 0, width: 390, height: 2400 } } : { clip: { x: 0, y: 0, width: 1440, height: 1500 } });
    await fits(page, options.width ?? 1440);
    await is_accessible(page, name);
    assert.deepEqual(page.troubles, [], name);
    await page.close();
  }
  for (const width of [320, 768, 1024]) {
    const page = await open(browser, scene.url, { width });
    await fits(page, width);
    await page.close();
  }
  const page = await open(browser, scene.url);
  await loads(page);
  await keys(page);
  await lives(page, scene);
  await filters(page, scene);
  await says_that_it_is_old(page, scene);
  assert.deepEqual(page.troubles, [], "no console errors");
  assert.ok(SCRIPT > 0);
  console.log("the status page loads, lives, filters, can be used by keyboard, and says when it is old");
} finally {
  await browser.close();
  await scene.stop();
}
