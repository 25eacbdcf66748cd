/**
 * Policy modules made by hand, byte by byte: what a compiler would never emit, but what a bundle might hold.
 *
 * Each has OPA's WebAssembly interface (ABI 1.2) around one trick. Every address is a zero-terminated string in the data segment, and
 * `opa_json_dump` is the identity.
 *
 * @see https://www.openpolicyagent.org/docs/latest/wasm/
 */

export interface Crafted {
  /** Text that `opa_eval` points to: the result set. */
  readonly result?: string;
  readonly trick?: 'loop' | 'loop-on-decide' | 'trap' | 'abort' | 'call-builtin' | 'flood';
  /** JSON of the built-in functions that the module says it needs: name to id. */
  readonly builtins?: string;
  readonly entrypoints?: string;
  /** Aborts already while it is loaded. */
  readonly abortsOnLoad?: boolean;
}

const ENTRYPOINTS = '{"access/decide":0,"access/verify":1,"access/schedule":2,"access/reconcile":3,"access/redecide":4,"workflow/accept":5}';

const text = (value: string): number[] => {
  const bytes = [...Buffer.from(value)];
  return [...leb(bytes.length), ...bytes];
};
const vector = (items: readonly number[][]): number[] => [...leb(items.length), ...items.flat()];
const section = (id: number, content: number[]): number[] => [id, ...leb(content.length), ...content];

/** Unsigned LEB128. */
function leb(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest % 128;
    rest = Math.floor(rest / 128);
    bytes.push(rest > 0 ? low + 128 : low);
  } while (rest > 0);
  return bytes;
}

/** Signed LEB128, for constants: addresses here are small and positive. */
function sleb(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (;;) {
    const low = rest & 0x7f;
    rest >>= 7;
    if (rest === 0 && (low & 0x40) === 0) return [...bytes, low];
    bytes.push(low | 0x80);
  }
}

const I32 = 0x7f;
const type = (parameters: number, results: number): number[] => [0x60, ...vector(Array.from({ length: parameters }, () => [I32])), ...vector(Array.from({ length: results }, () => [I32]))];
const constant = (value: number): number[] => [0x41, ...sleb(value)];
const END = 0x0b;
const body = (...instructions: number[][]): number[] => {
  const code = [...leb(0), ...instructions.flat(), END];
  return [...leb(code.length), ...code];
};

/** A text of 10 MB is made of this, as many `a`, and the end. */
const FLOOD_START = '[{"result":"';
const FLOOD_BYTES = 10_000_000;

const ABORT = 0;
const BUILTIN0 = 1;

/** The module's bytes. */
export function craft(crafted: Crafted): Uint8Array {
  // The result last: what is written behind it at run time is over nothing that is needed again.
  const strings = [crafted.builtins ?? '{}', crafted.entrypoints ?? ENTRYPOINTS, 'aborted on purpose', crafted.trick === 'flood' ? FLOOD_START : (crafted.result ?? '[]')];
  const addresses: number[] = [];
  let next = 1024;
  const segments = strings.map((value) => {
    addresses.push(next);
    const bytes = [...Buffer.from(`${value}\0`)];
    const segment = [0, ...constant(next), END, ...leb(bytes.length), ...bytes];
    next += bytes.length;
    return segment;
  });
  const [builtins = 0, entrypoints = 0, message = 0, result = 0] = addresses;
  const heap = Math.ceil(next / 8) * 8;
  const abort = [...constant(message), 0x10, ...leb(ABORT)];
  const evaluate: Record<NonNullable<Crafted['trick']> | 'none', number[][]> = {
    none: [constant(result)],
    loop: [[0x03, 0x40, 0x0c, 0x00, 0x0b, 0x00]],
    // `if (entrypoint == 0) loop;`, else the result
    'loop-on-decide': [[0x20, 1, 0x45, 0x04, 0x40, 0x03, 0x40, 0x0c, 0x00, 0x0b, 0x0b], constant(result)],
    trap: [[0x00]],
    // memory.grow(200); memory.fill(behind the start, 'a', n); store `"}]\0` behind that
    flood: [
      [...constant(200), 0x40, 0x00, 0x1a],
      [...constant(result + FLOOD_START.length), ...constant(0x61), ...constant(FLOOD_BYTES), 0xfc, 0x0b, 0x00],
      [...constant(result + FLOOD_START.length + FLOOD_BYTES), ...constant(0x005d7d22), 0x36, 0x00, ...leb(0)],
      constant(result),
    ],
    abort: [abort, constant(result)],
    'call-builtin': [[...constant(7), ...constant(0), 0x10, ...leb(BUILTIN0)], constant(result)].map((part, index) => (index === 0 ? [...part, 0x1a] : part)),
  };
  const types = [type(1, 0), type(2, 1), type(1, 1), type(0, 1), type(7, 1)];
  const functions: { name: string; type: number; body: number[] }[] = [
    { name: 'opa_malloc', type: 2, body: body(constant(heap)) },
    { name: 'opa_json_parse', type: 1, body: body(constant(heap)) },
    { name: 'opa_json_dump', type: 2, body: body([0x20, 0]) },
    { name: 'opa_heap_ptr_get', type: 3, body: body(constant(heap)) },
    { name: 'opa_heap_ptr_set', type: 0, body: body() },
    { name: 'builtins', type: 3, body: body(...(crafted.abortsOnLoad === true ? [abort] : []), constant(builtins)) },
    { name: 'entrypoints', type: 3, body: body(constant(entrypoints)) },
    { name: 'opa_eval', type: 4, body: body(...evaluate[crafted.trick ?? 'none']) },
  ];
  const imports = [
    [...text('env'), ...text('opa_abort'), 0, ...leb(0)],
    [...text('env'), ...text('opa_builtin0'), 0, ...leb(1)],
    [...text('env'), ...text('memory'), 2, 0, ...leb(2)],
  ];
  const global = (value: number): number[] => [I32, 0, ...constant(value), END];
  const exports = [
    ...functions.map((one, index) => [...text(one.name), 0, ...leb(index + 2)]),
    [...text('opa_wasm_abi_version'), 3, 0],
    [...text('opa_wasm_abi_minor_version'), 3, 1],
  ];
  return Uint8Array.from([
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, vector(types)),
    ...section(2, vector(imports)),
    ...section(3, vector(functions.map((one) => leb(one.type)))),
    ...section(6, vector([global(1), global(2)])),
    ...section(7, vector(exports)),
    ...section(10, vector(functions.map((one) => one.body))),
    ...section(11, vector(segments)),
  ]);
}
