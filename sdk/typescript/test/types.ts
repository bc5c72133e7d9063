// Compiled, never run: what must and what must not type-check.
import { Batch, FerroMcpClient, InvalidArgumentsError, ToolError, type ErrorCode, type QuotaUsage, type RateUsage, type Tool } from "../src/index.js";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Same<A, B>): void => undefined;

const client = new FerroMcpClient({ baseUrl: new URL("http://a"), apiKey: async () => "key", retry: false });
// @ts-expect-error the address is needed
new FerroMcpClient({});
// @ts-expect-error no such option
new FerroMcpClient({ baseUrl: "http://a", timeout: 5 });

export async function uses(error: unknown): Promise<void> {
  const unknown = await client.callTool("echo");
  same<typeof unknown.output, unknown>(true);
  const typed = await client.callTool<{ a: number }>("x", {}, { signal: AbortSignal.timeout(5), idempotent: true });
  same<typeof typed.output.a, number>(true);
  // @ts-expect-error not a number
  await client.callTool("x", {}, { timeoutMs: "5" });
  for await (const tool of client.tools()) same<typeof tool, Tool>(true);
  for await (const event of client.callToolStream<string>("x")) {
    if (event.type === "result") same<typeof event.output, string>(true);
    // @ts-expect-error only progress has it
    else if (event.type === "log") void event.progress;
  }
  const batch = new Batch();
  batch.add("b", { x: batch.add("a").ref("/p") });
  const [first] = (await client.batchCall(batch, { maxParallel: 4, stopOnError: true })).responses;
  // @ts-expect-error it may have failed
  void first?.output;
  if (first?.success === false) void first.error.retryAfterMs;
  if (error instanceof InvalidArgumentsError) same<(typeof error.issues)[0]["pointer"], string>(true);
  if (error instanceof ToolError) same<typeof error.content, unknown[]>(true);
  const usage = await client.usage({ signal: AbortSignal.timeout(5) });
  same<typeof usage.tenant, string>(true);
  same<typeof usage.client_rate, RateUsage | null>(true);
  same<typeof usage.quotas.tool_calls, QuotaUsage | undefined>(true);
  // @ts-expect-error it may not be limited
  void usage.rate.remaining;
  // @ts-expect-error nobody asks about another tenant
  await client.usage({ tenantId: "a" });
  const code: ErrorCode = "rate_limited";
  void code;
}
