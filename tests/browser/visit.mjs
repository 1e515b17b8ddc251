// Visits the page at `url` in a real Chromium: light, dark and narrow. Prints what it found as one line of JSON, and
// leaves screenshots `<folder>/<name>-<look>.png`.
//
//     node visit.mjs <url> <chromium> <modules> <folder> <name>

import { createRequire } from "node:module";
import { join } from "node:path";

const [url, executablePath, modules, folder, name] = process.argv.slice(2);
const require = createRequire(join(modules, "package.json"));
const { chromium } = require("playwright-core");
const axe = require("axe-core");

const LOOKS = [
  // Once with a second round, in which what changes from one to the next has changed.
  { look: "light", rounds: 2, colorScheme: "light", viewport: { width: 1280, height: 900 } },
  { look: "dark", colorScheme: "dark", viewport: { width: 1280, height: 900 } },
  { look: "narrow", colorScheme: "light", viewport: { width: 360, height: 800 } },
];
const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

async function visit(browser, { look, rounds = 1, ...settings }) {
  const context = await browser.newContext(settings);
  const page = await context.newPage();
  const [complaints, foreign] = [[], []];
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => new URL(request.url()).origin !== new URL(url).origin && foreign.push(request.url()));
  await page.goto(url);
  const hasShown = (rounds) => Number(document.documentElement.dataset.rounds) >= rounds;
  await page.waitForFunction(hasShown, rounds, { timeout: 60_000 });
  const opened = await openFirstHost(page);
  await page.screenshot({ path: join(folder, `${name}-${look}.png`), fullPage: true });
  // Not as a script of the page, which its policy would refuse.
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const shown = await page.evaluate(() => ({
    health: document.querySelector("#health strong").textContent,
    text: document.body.innerText,
    hosts: document.querySelectorAll(".host").length,
    width: document.documentElement.scrollWidth,
  }));
  await context.close();
  const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
  const faults = serious.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.slice(0, 3).map((node) => node.html.slice(0, 200)).join(" | ")}`);
  return { look, complaints, foreign, faults, opened, overflow: shown.width - settings.viewport.width, ...shown };
}

/** Opens the first host by keyboard alone, if it is not open; whether its workers are then listed. */
async function openFirstHost(page) {
  const button = page.locator(".host button").first();
  if ((await button.count()) === 0) return null;
  if ((await button.getAttribute("aria-expanded")) === "false") {
    await button.focus();
    await page.keyboard.press("Enter");
  }
  await page.locator(".host tbody tr").first().waitFor({ timeout: 30_000 });
  return button.getAttribute("aria-expanded");
}

const browser = await chromium.launch({ executablePath, args: ARGUMENTS });
try {
  const found = [];
  for (const settings of LOOKS) found.push(await visit(browser, settings));
  console.log(JSON.stringify(found));
} finally {
  await browser.close();
}
