import assert from "node:assert/strict";
import { test } from "node:test";
import { CairnError, createCairn, everything, once, previewed, unwrap } from "../src/index.js";

const BUSY = { code: "database_unavailable", detail: "later", retryable: true, in_doubt: false, status: 503, title: "t", type: "t" };
const REFUSED = { ...BUSY, code: "insufficient_funds", retryable: false, status: 409 };

function answer(status: number, body: unknown, headers: Record<string, string> = {}): Response {
  const type = status < 400 ? "application/json" : "application/problem+json";
  return new Response(JSON.stringify(body), { status, headers: { "Content-Type": type, ...headers } });
}

/** A Cairn that answers these one after the other, and what it was sent and how long was waited. */
function scripted(answers: (Response | Error)[], retries = 4) {
  const seen: Request[] = [];
  const waits: number[] = [];
  const cairn = createCairn({
    baseUrl: "http://cairn.test",
    apiKey: "cairn_test_x",
    retries,
    sleep: async (milliseconds) => void waits.push(milliseconds),
    fetch: async (request) => {
      seen.push(request);
      const next = answers.shift();
      if (next instanceof Error) throw next;
      return next ?? answer(500, { ...BUSY, retryable: false });
    },
  });
  return { cairn, seen, waits };
}

const wish = () => ({ params: { header: once() }, body: { amount: "1.00", currency: "USD" as const, payment_method: "pm_card_visa" } });

test("a lost answer and a retryable problem are asked for again, with the same key and body", async () => {
  const made = answer(201, { top_up_id: "pay_1" });
  const { cairn, seen, waits } = scripted([new TypeError("cut"), answer(503, BUSY, { "Retry-After": "2" }), made]);
  const { top_up_id } = unwrap(await cairn.POST("/v1/top-ups", wish()));
  assert.equal(top_up_id, "pay_1");
  assert.equal(new Set(seen.map((request) => request.headers.get("Idempotency-Key"))).size, 1);
  const bodies = await Promise.all(seen.map((request) => request.text()));
  assert.equal(new Set(bodies).size, 1);
  assert.equal(seen.length, 3);
  assert.equal(waits[1], 2000);
});

test("what only asks is answered with what it would do", async () => {
  const { cairn, seen } = scripted([answer(200, { preview: true, would: "top_up", costs: { paid_in: "1.00" } })]);
  const asked = await cairn.POST("/v1/top-ups", { ...wish(), params: { header: once(), query: { preview: true } } });
  assert.equal(previewed(asked).costs?.paid_in, "1.00");
  assert.equal(new URL(seen[0]?.url ?? "").searchParams.get("preview"), "true");
});

test("a refusal is not repeated, and says why", async () => {
  const { cairn, seen } = scripted([answer(409, REFUSED)]);
  const refused = await cairn.POST("/v1/top-ups", wish());
  assert.throws(() => unwrap(refused), (error) => error instanceof CairnError && error.problem?.code === "insufficient_funds");
  assert.equal(seen.length, 1);
});

test("what may not be repeated is sent once, and nothing is repeated for ever", async () => {
  const unkeyed = scripted([answer(503, BUSY)]);
  const enrolment = { params: {}, body: {} } as never;
  await unkeyed.cairn.POST("/v1/nodes/enrol", enrolment);
  assert.equal(unkeyed.seen.length, 1);
  const busy = scripted(Array.from({ length: 9 }, () => answer(503, BUSY)), 2);
  const last = await busy.cairn.GET("/v1/skus");
  assert.equal(last.response.status, 503);
  assert.equal(busy.seen.length, 3);
});

test("a read is as new as what was written before it", async () => {
  const { cairn, seen } = scripted([answer(201, { top_up_id: "pay_1" }, { "Cairn-Position": "41" }), answer(200, {}, { "Cairn-Position": "40" }), answer(200, {})]);
  await cairn.POST("/v1/top-ups", wish());
  for (let reads = 0; reads < 2; reads += 1) await cairn.GET("/v1/balance");
  assert.deepEqual(seen.map((request) => request.headers.get("Cairn-Min-Position")), [null, "41", "41"]);
});

test("a list is read to its end", async () => {
  const pages = new Map([[undefined, { items: [1, 2], next_cursor: "a" }], ["a", { items: [3], next_cursor: null }]]);
  const all: number[] = [];
  for await (const item of everything(async (cursor) => pages.get(cursor as "a" | undefined)!)) all.push(item);
  assert.deepEqual(all, [1, 2, 3]);
});
