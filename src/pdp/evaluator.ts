/** One compiled policy in this thread: text in, plain data out, or an {@link EngineFault}. */
import * as opaWasm from '@open-policy-agent/opa-wasm';
import { EngineFault } from './fault.ts';

/** What an evaluator is made of; it can be posted to a worker. */
export interface PolicyImage {
  readonly module: WebAssembly.Module;
  /** JSON text of the base documents. */
  readonly data: string;
  readonly entrypoints: readonly string[];
}

export interface Evaluator {
  /**
   * The one value of the entrypoint for this input (JSON text). It may run forever: whoever calls sees to a deadline.
   * @throws EngineFault whatever goes wrong; the next call starts from a fresh instance.
   */
  evaluate(entrypoint: string, input: string): unknown;
}

/** 64 KiB each: what input, data and evaluation may take together. */
const MEMORY_PAGES_MAX = 1024;
const DEPTH_MAX = 64;
/** Characters of text, and members: no answer that is owed comes near. */
const RESULT_SIZE_MAX = 1_048_576;
const FORBIDDEN_KEYS = new Set(['__proto__', 'constructor', 'prototype']);

interface OpaExports {
  builtins(): number;
  opa_json_dump(value: number): number;
}
type LoadedPolicy = opaWasm.LoadedPolicy;
// Its types name what only its default export has.
const { loadPolicySync } = (opaWasm as unknown as { readonly default: Pick<typeof opaWasm, 'loadPolicySync'> }).default;
/**
 * An evaluator whose module has been instantiated once, has every entrypoint, and needs no built-in function from the host.
 *
 * None is provided on purpose: the JavaScript versions that exist differ from OPA's (`sprintf`), run patterns without a limit
 * (`regex.split`), or fail only when they are called.
 *
 * @throws EngineFault `unknown-builtin` or `bad-bundle`; nothing has been evaluated.
 */
export function createEvaluator(image: PolicyImage): Evaluator {
  let policy: LoadedPolicy | null = instantiate(image);
  return {
    evaluate(entrypoint, input) {
      if (!image.entrypoints.includes(entrypoint)) throw new EngineFault('bad-bundle', `the policy has no entrypoint ${entrypoint}`);
      policy ??= instantiate(image);
      let results: unknown;
      try {
        results = policy.evaluate(exactBuffer(input), entrypoint);
      } catch (cause) {
        // A trap leaves the instance's memory in a state that nobody has described.
        policy = null;
        throw evaluationFault(cause);
      }
      return onlyResult(results);
    },
  };
}

function instantiate(image: PolicyImage): LoadedPolicy {
  let policy: LoadedPolicy;
  try {
    policy = loadPolicySync(image.module, { initial: 5, maximum: MEMORY_PAGES_MAX });
  } catch (cause) {
    throw new EngineFault('bad-bundle', `the module cannot be loaded: ${describe(cause)}`, { cause });
  }
  const needed = builtinsNeeded(policy);
  if (needed.length > 0) throw new EngineFault('unknown-builtin', `the module needs built-in functions that the runtime does not provide: ${needed.join(', ')}`);
  const entrypoints = policy.entrypoints as Record<string, unknown>;
  const missing = image.entrypoints.filter((name) => !Object.hasOwn(entrypoints, name));
  if (missing.length > 0) throw new EngineFault('bad-bundle', `the module lacks the entrypoints ${missing.join(', ')}`);
  try {
    policy.setData(exactBuffer(image.data));
  } catch (cause) {
    throw new EngineFault('bad-bundle', `the data cannot be loaded: ${describe(cause)}`, { cause });
  }
  return policy;
}

function builtinsNeeded(policy: LoadedPolicy): string[] {
  const instance = policy.wasmInstance as WebAssembly.Instance;
  const exports = instance.exports as unknown as OpaExports;
  const start = exports.opa_json_dump(exports.builtins());
  const memory = new Uint8Array(policy.mem.buffer);
  const text = new TextDecoder().decode(memory.slice(start, memory.indexOf(0, start)));
  return Object.keys(JSON.parse(text) as object).sort();
}

/** opa-wasm takes text only as an `ArrayBuffer` that holds nothing else. */
function exactBuffer(text: string): ArrayBuffer {
  const bytes = new TextEncoder().encode(text);
  return bytes.byteLength === bytes.buffer.byteLength ? bytes.buffer : bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
}

function evaluationFault(cause: unknown): EngineFault {
  if (cause instanceof SyntaxError) return new EngineFault('unparsable-result', 'the policy wrote something that is not JSON', { cause });
  const text = describe(cause);
  if (text.startsWith('not implemented: built-in')) return new EngineFault('unknown-builtin', text, { cause });
  return new EngineFault('policy-threw', text, { cause });
}

/** opa-wasm throws strings and bare objects as well as errors. */
function describe(cause: unknown): string {
  const text = typeof cause === 'object' && cause !== null && 'message' in cause ? cause.message : cause;
  return (typeof text === 'string' ? text : 'something that is not an error').slice(0, 300);
}

function onlyResult(results: unknown): unknown {
  if (!Array.isArray(results)) throw new EngineFault('malformed-result', 'the policy gave no result set');
  const set: readonly unknown[] = results;
  if (set.length === 0) throw new EngineFault('undefined-result', 'the policy is undefined for this input');
  if (set.length > 1) throw new EngineFault('ambiguous-result', `the policy gave ${set.length} results`);
  const [only] = set;
  if (typeof only !== 'object' || only === null || !Object.hasOwn(only, 'result')) throw new EngineFault('malformed-result', 'the result set holds no result');
  const value = (only as { result: unknown }).result;
  let size = 0;
  const count = (more: number): void => {
    size += more;
    if (size > RESULT_SIZE_MAX) throw new EngineFault('result-too-large', `the result holds more than ${RESULT_SIZE_MAX} characters and members`);
  };
  refuseUnsafe(value, 0, count);
  return value;
}

function refuseUnsafe(value: unknown, depth: number, count: (more: number) => void): void {
  count(typeof value === 'string' ? value.length : 1);
  if (typeof value !== 'object' || value === null) return;
  if (depth > DEPTH_MAX) throw new EngineFault('malformed-result', 'the result is nested too deeply');
  for (const [key, member] of Object.entries(value)) {
    if (FORBIDDEN_KEYS.has(key)) throw new EngineFault('malformed-result', `the result has a member named ${key}`);
    count(key.length);
    refuseUnsafe(member, depth + 1, count);
  }
}
