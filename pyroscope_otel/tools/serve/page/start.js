/** Instructions for sending a first request, with a tab for each way. */

import { codeBlock, fill, h } from "./dom.js";

/**
 * @typedef {(string | {code: string})[]} Steps sentences, each followed by its code
 */

// A handler that uses some CPU time.
const HANDLER = "\n\n\n@app.get(\"/work\")\ndef work():\n    return str(sum(range(20_000_000)))";

/**
 * @param {string} profiles the address for agents
 * @param {string} traces the address for exporters
 */
export function waysToStart(profiles, traces) {
  const environment = `export PYROSCOPE_SERVER_ADDRESS=${profiles}\nexport OTEL_EXPORTER_OTLP_ENDPOINT=${traces}`;
  const port = new URL(profiles).port;
  const run = `pyroscope-otel run${port === "4040" ? "" : ` --port ${port}`}`;
  /** @type {[string, Steps][]} */
  const ways = [
    ["run", [
      "In a checkout of pyroscope-otel, in the application's environment, with its framework in place of flask:",
      { code: "pip install '.[local]' opentelemetry-instrumentation-flask" },
      "Put run before the command that starts the application:",
      { code: `${run} uvicorn app:app` },
      "Or one of these:",
      { code: `${run} python manage.py runserver\n${run} flask --app app run\n${run} python job.py` },
    ]],
    ["FastAPI", [
      "In a checkout of pyroscope-otel, in the application's environment:",
      { code: "pip install '.[asgi,otlp]' fastapi uvicorn" },
      "In app.py (other ASGI frameworks take the same middleware):",
      { code: `from fastapi import FastAPI\n\nfrom pyroscope_otel.asgi import PyroscopeMiddleware\n\napp = FastAPI()\napp.add_middleware(PyroscopeMiddleware, application_name="shop")${HANDLER}` },
      "Start it, and ask it for /work:",
      { code: `${environment}\nuvicorn app:app` },
    ]],
    ["Django", [
      "In a checkout of pyroscope-otel, in the project's environment:",
      { code: "pip install '.[django,otlp]' django" },
      "In settings.py:",
      { code: "INSTALLED_APPS = [\"pyroscope_otel_django\", *INSTALLED_APPS]\nMIDDLEWARE = [\"pyroscope_otel_django.middleware.PyroscopeMiddleware\", *MIDDLEWARE]\nPYROSCOPE = {\"APPLICATION_NAME\": \"shop\"}" },
      "Start it, and open one of its pages:",
      { code: `${environment}\npython manage.py runserver` },
    ]],
    ["Flask", [
      "In a checkout of pyroscope-otel, in the application's environment:",
      { code: "pip install '.[flask,otlp]' flask" },
      "In app.py:",
      { code: `from flask import Flask\n\nfrom pyroscope_otel_flask import Pyroscope\n\napp = Flask(__name__)\nPyroscope(app, application_name="shop")${HANDLER}` },
      "Start it, and ask it for /work:",
      { code: `${environment}\nflask --app app run` },
    ]],
    ["Without code", [
      "In a checkout of pyroscope-otel, in the application's environment, with its framework in place of flask:",
      { code: "pip install '.[flask,otlp]' opentelemetry-distro flask" },
      "Start it with OpenTelemetry's command. By default, that would use gRPC, and also send metrics and logs:",
      { code: `export OTEL_SERVICE_NAME=shop\n${environment}\nexport OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\nexport OTEL_METRICS_EXPORTER=none OTEL_LOGS_EXPORTER=none\nopentelemetry-instrument flask --app app run` },
    ]],
  ];
  const panel = h("div", { class: "way" });
  const tabs = ways.map(([name, steps]) => h("button", { type: "button", "aria-pressed": "false", on: { click: () => show(name, steps) } }, name));
  /** @param {string} name @param {Steps} steps */
  const show = (name, steps) => {
    for (const tab of tabs) tab.setAttribute("aria-pressed", String(tab.textContent === name));
    fill(panel, steps.map((step) => (typeof step === "string" ? h("p", {}, step) : codeBlock(step.code))));
  };
  show(...ways[0]);
  return h("div", {},
    h("div", { class: "ways", role: "group", "aria-label": "Ways to start" }, tabs), panel,
    h("p", {}, "Traces arrive within seconds, profiles every 10 seconds. Still nothing?"), codeBlock("pyroscope-otel doctor app:app"),
    h("p", {}, "Or see it with an example first:"), codeBlock("pyroscope-otel demo"));
}
