/**
 * Cairn's HTTP API with the types of its OpenAPI document, and what a document cannot say: one key per wish, repeating what
 * may be repeated, reading what one has just written, and reading a list to its end.
 */
import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./schema.js";

export type { components, paths } from "./schema.js";

/** Why something was refused, or did not work. */
export type Problem = components["schemas"]["Problem"];

/** What `unwrap` throws. Without a `problem`, something between here and Cairn has answered. */
export class CairnError extends Error {
  override readonly name = "CairnError";

  constructor(
    readonly status: number,
    readonly problem: Problem | undefined,
  ) {
    super(problem ? `${problem.code}: ${problem.detail}` : `HTTP ${status}`);
  }
}

export interface Options {
  /** Where Cairn is, such as `https://cairn.example.org`. */
  baseUrl: string;
  /** An API key, `cairn_live_…`. Keep it out of browsers. Whoever signs up, or has a session, needs none. */
  apiKey?: string;
  /** How often a request is repeated at most. 4 unless told otherwise. */
  retries?: number;
  /** Waits; for tests. */
  sleep?: (milliseconds: number) => Promise<void>;
  /** Sends; for tests. */
  fetch?: (request: Request) => Promise<Response>;
}

/** A client of one Cairn, for one key. Its reads are at least as new as whatever it has seen before. */
export function createCairn(options: Options): Client<paths> {
  const memory = { position: 0 };
  return createClient<paths>({
    baseUrl: options.baseUrl,
    headers: options.apiKey === undefined ? {} : { Authorization: `Bearer ${options.apiKey}` },
    fetch: (request) => persist(request, options, memory),
  });
}

/**
 * The key of one wish, for `params.header`. Make it once per wish, keep it as long as the outcome matters, and send it again
 * with the same body: nothing happens twice, and a repeat gets the first answer.
 */
export function once(key: string = crypto.randomUUID()): { "Idempotency-Key": string } {
  return { "Idempotency-Key": key };
}

/** What a request with `preview: true` would do. */
export type Preview = components["schemas"]["Preview"];

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The answer, or a `CairnError`. */
export function unwrap<T>(answer: Answer<T>): Exclude<T, Preview> {
  return received(answer) as Exclude<T, Preview>;
}

/** The answer to a request that only asks, with `preview: true` in its query, or a `CairnError`. */
export function previewed<T>(answer: Answer<T>): Extract<T, Preview> {
  return received(answer) as Extract<T, Preview>;
}

function received<T>(answer: Answer<T>): T {
  if (!answer.response.ok) {
    throw new CairnError(answer.response.status, asProblem(answer.error));
  }
  return answer.data as T;
}

/** Everything that a list has, page by page: `read` asks for the page after a cursor. */
export async function* everything<T>(
  read: (cursor: string | undefined) => Promise<{ items: T[]; next_cursor?: string | null }>,
): AsyncGenerator<T, void, undefined> {
  let cursor: string | undefined;
  do {
    const page = await read(cursor);
    yield* page.items;
    cursor = page.next_cursor ?? undefined;
  } while (cursor !== undefined);
}

/** Reads until it is as wanted, at most `seconds` long. */
export async function until<T>(read: () => Promise<T>, wanted: (seen: T) => boolean, seconds = 120): Promise<T> {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const seen = await read();
    if (wanted(seen)) return seen;
    if (Date.now() > deadline) throw new Error(`still not as wanted after ${seconds} s: ${JSON.stringify(seen)}`);
    await pause(500);
  }
}

/** Repeats what may be repeated: reads, and what has an `Idempotency-Key`. Reads wait for the newest position that was answered. */
async function persist(request: Request, options: Options, memory: { position: number }): Promise<Response> {
  if (request.method === "GET" && memory.position > 0 && !request.headers.has("Cairn-Min-Position")) {
    request.headers.set("Cairn-Min-Position", String(memory.position));
  }
  const send = options.fetch ?? ((wanted: Request) => fetch(wanted));
  const mayRepeat = request.method === "GET" || request.headers.has("Idempotency-Key");
  for (let left = mayRepeat ? (options.retries ?? 4) : 0; ; left -= 1) {
    const attempt = (options.retries ?? 4) - left;
    let response: Response;
    try {
      response = await send(request.clone());
    } catch (error) {
      // Nobody knows whether it arrived. The same key makes that harmless.
      if (left <= 0) throw error;
      await (options.sleep ?? pause)(backoff(attempt));
      continue;
    }
    memory.position = Math.max(memory.position, Number(response.headers.get("Cairn-Position")) || 0);
    if (left <= 0 || response.ok || !(await isRetryable(response))) return response;
    const told = Number(response.headers.get("Retry-After"));
    await (options.sleep ?? pause)(told > 0 ? told * 1000 : backoff(attempt));
  }
}

async function isRetryable(response: Response): Promise<boolean> {
  if (!response.headers.get("Content-Type")?.startsWith("application/problem+json")) {
    return response.status === 502 || response.status === 503 || response.status === 504;
  }
  const problem = asProblem(await response.clone().json().catch(() => undefined));
  return problem?.retryable === true;
}

function asProblem(value: unknown): Problem | undefined {
  return typeof value === "object" && value !== null && "code" in value ? (value as Problem) : undefined;
}

/** Longer each time, and never the same for two clients. */
function backoff(attempt: number): number {
  return Math.min(200 * 2 ** attempt, 5000) * (0.5 + Math.random() / 2);
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
