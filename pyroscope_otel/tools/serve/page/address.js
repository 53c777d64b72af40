/**
 * The page and its view in the address bar.
 *
 *   #/                            requests; filters: service, route, min_ms, status
 *   #/routes                      routes; filter: service
 *   #/request/<profile id>        one request and its trace; view: span
 *   #/route?service=&route=       the merged profile of a route
 *   #/difference?left=&right=     two requests; right may be "route"; without it, a choice
 *
 * The view of a page with a flame graph also includes zoom, find and fold.
 */

/**
 * @typedef {object} Place
 * @property {string} page
 * @property {string} id the profile id of a request's page
 * @property {URLSearchParams} params
 * @property {string} key equal for places that differ only in their view
 */

const ID = /^[0-9a-f]{1,32}$/;

/**
 * @param {string} hash
 * @returns {Place}
 */
export function parse(hash) {
  const [path, query = ""] = split(hash.replace(/^#/, ""));
  const params = new URLSearchParams(query);
  const request = /^\/request\/([^/]+)$/.exec(path);
  if (path === "" || path === "/") return { page: "requests", id: "", params, key: "requests" };
  if (path === "/routes") return { page: "routes", id: "", params, key: "routes" };
  if (request && ID.test(request[1])) {
    return { page: "request", id: request[1], params, key: `request ${request[1]}` };
  }
  if (path === "/route" && params.has("route")) {
    const key = JSON.stringify(["route", params.get("service"), params.get("route")]);
    return { page: "route", id: "", params, key };
  }
  if (path === "/difference" && isRight(params.get("right")) && ID.test(params.get("left") ?? "")) {
    return { page: "difference", id: "", params, key: `difference ${params.get("left")} ${params.get("right")}` };
  }
  return { page: "unknown", id: "", params, key: `unknown ${hash}` };
}

/** @param {string} text */
function split(text) {
  const at = text.indexOf("?");
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

/** @param {string | null} right */
function isRight(right) {
  return right === null || right === "" || right === "route" || ID.test(right);
}

/**
 * The address of a page, without empty parameters.
 *
 * @param {string} path such as "/routes"
 * @param {Record<string, string | null | undefined>} [params]
 */
export function address(path, params = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) if (value) query.set(name, value);
  const text = query.toString();
  return `#${path}${text ? `?${text}` : ""}`;
}

/** @param {string} profileId */
export function requestAddress(profileId) {
  return address(`/request/${encodeURIComponent(profileId)}`);
}

/**
 * @param {string} service
 * @param {string} route
 */
export function routeAddress(service, route) {
  return address("/route", { service, route });
}

/**
 * @param {string} left
 * @param {string} [right] another request's profile id, or "route"
 */
export function differenceAddress(left, right) {
  return address("/difference", { left, right });
}

/**
 * The address of the same place with another view.
 *
 * @param {string} hash
 * @param {Record<string, string | null | undefined>} changes
 */
export function withView(hash, changes) {
  const [path, query = ""] = split(hash.replace(/^#/, ""));
  const params = new URLSearchParams(query);
  for (const [name, value] of Object.entries(changes)) {
    if (value) params.set(name, value);
    else params.delete(name);
  }
  const text = params.toString();
  return `#${path || "/"}${text ? `?${text}` : ""}`;
}
