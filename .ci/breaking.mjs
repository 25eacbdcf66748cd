// What of an interface as it is now breaks somebody who keeps to it as it was: OpenAPI 3.1 and AsyncAPI 3.0, and the JSON Schema in both.
// `in` is what others send to us: it may ask for no more. `out` is what we send: it may hold no less, nothing of another kind, and keeps within its bounds.
// Each finding is one sentence that begins with where it is. What this does not understand, it reports where it has changed.

/** Limits by which less is taken, and in which direction they are stricter. */
const LIMITS = { minLength: 1, minItems: 1, minimum: 1, exclusiveMinimum: 1, minProperties: 1, maxLength: -1, maxItems: -1, maximum: -1, exclusiveMaximum: -1, maxProperties: -1 };
/** Keywords of the same meaning or none: a change of them breaks nobody. */
const PROSE = new Set(['title', 'description', 'examples', 'default', '$comment', 'deprecated']);
const COMPARED = new Set(['$ref', 'type', 'enum', 'const', 'anyOf', 'oneOf', 'properties', 'required', 'additionalProperties', 'propertyNames', 'items', 'pattern', 'format', 'contentEncoding', 'uniqueItems', ...Object.keys(LIMITS), ...PROSE]);

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
/** The same, whatever prose is in either. */
const sameBut = (a, b) => same(...[a, b].map((one) => (one === undefined ? undefined : Object.fromEntries(Object.entries(one).filter(([name]) => !PROSE.has(name))))));
const keysOf = (object) => Object.keys(object ?? {});

function resolved(schema, document) {
  let at = schema;
  for (let hops = 0; hops < 16; hops += 1) {
    if (at?.$ref !== undefined) {
      const { $ref, ...beside } = at;
      at = { ...$ref.slice(2).split('/').reduce((node, name) => node[name.replaceAll('~1', '/').replaceAll('~0', '~')], document), ...beside };
    } else if (at?.allOf?.length === 1) {
      const { allOf, ...beside } = at;
      at = { ...allOf[0], ...beside };
    } else return at;
  }
  return at;
}

/**
 * @param {{ was: unknown, is: unknown }} documents that references lead into
 * @param {Set<string>} done which named schemas were compared: what is wrong with one is told once, by its name and not by where it is used
 */
export function breaksOfSchema(was, is, direction, documents, at, done = new Set()) {
  if (was.$ref !== undefined && is.$ref !== undefined) {
    const pair = `${direction} ${was.$ref} ${is.$ref}`;
    if (done.has(pair)) return [];
    done.add(pair);
    return breaksOfResolved(resolved(was, documents.was), resolved(is, documents.is), direction, documents, `${was.$ref.split('/').at(-1)} (${direction === 'in' ? 'taken' : 'sent'})`, done);
  }
  return breaksOfResolved(resolved(was, documents.was), resolved(is, documents.is), direction, documents, at, done);
}

function breaksOfResolved(was, is, direction, documents, at, done) {
  const [branchesA, branchesB] = [was.anyOf ?? was.oneOf, is.anyOf ?? is.oneOf];
  if (branchesA !== undefined || branchesB !== undefined) return breaksOfBranches(branchesA ?? [was], branchesB ?? [is], direction, documents, at, done);
  return [...breaksOfKeywords(was, is, direction, at), ...breaksOfParts(was, is, direction, documents, at, done)];
}

/** Each of what there was must still be there; and what we send may not become of another kind altogether. */
function breaksOfBranches(was, is, direction, documents, at, done) {
  const named = was.filter(({ $ref }) => $ref !== undefined && is.some((other) => other.$ref === $ref));
  const [before, now] = [branchesIn(was, documents.was), branchesIn(is, documents.is)];
  const found = branchesIn(was.filter((one) => !named.includes(one)), documents.was).flatMap((one) => {
    const tried = now.filter((other) => maybeSame(one.whole, other.whole)).map((other) => {
      const seen = new Set(done);
      const missing = keysOf(one.whole.properties).filter((name) => other.whole.properties?.[name] === undefined).length;
      return { seen, missing, breaks: breaksOfSchema(one.stated, other.stated, direction, documents, at, seen) };
      // One that has its members is it, though its bounds are others.
    }).sort((a, b) => a.missing - b.missing || a.breaks.length - b.breaks.length);
    if (tried.length === 0) return [`${at}: ${nameOf(one.whole)} is gone`];
    for (const name of tried[0].seen) done.add(name);
    return tried[0].breaks;
  });
  // What has the same name in both is told of by that.
  found.unshift(...named.flatMap((one) => breaksOfSchema(one, one, direction, documents, at, done)));
  if (direction === 'in') return found;
  const kinds = new Set(before.flatMap(({ whole }) => typesOf(whole) ?? []));
  return [...found, ...now.flatMap(({ whole }) => (typesOf(whole) ?? []).filter((type) => kinds.size > 0 && !kinds.has(type)).map((type) => `${at}: may be ${type} now`))];
}

/** Also those of a branch that is nothing but branches. */
function branchesIn(branches, document) {
  return branches.flatMap((stated) => {
    const whole = resolved(stated, document);
    const inner = whole.anyOf ?? whole.oneOf;
    return inner === undefined ? [{ stated, whole }] : branchesIn(inner, document);
  });
}

/** Whether nothing tells the one branch from the other: neither type nor a member that is one value in each. */
function maybeSame(a, b) {
  const [typesA, typesB] = [typesOf(a), typesOf(b)];
  if (typesA !== undefined && typesB !== undefined && !typesA.some((type) => typesB.includes(type))) return false;
  return constantsOf(a).every(([name, value]) => b.properties?.[name]?.const === undefined || same(b.properties[name].const, value));
}

const constantsOf = ({ properties }) => Object.entries(properties ?? {}).filter(([, schema]) => schema.const !== undefined).map(([name, schema]) => [name, schema.const]);

function nameOf(schema) {
  const constants = constantsOf(schema);
  return constants.length > 0 ? constants.map(([name, value]) => `${name} ${JSON.stringify(value)}`).join(', ') : (typesOf(schema) ?? ['anything']).join(' or ');
}

const typesOf = ({ type, enum: values, const: constant }) => (type === undefined ? (values ?? (constant === undefined ? undefined : [constant]))?.map((value) => (value === null ? 'null' : typeof value)).filter((one, n, all) => all.indexOf(one) === n) : [type].flat());
const valuesOf = ({ enum: values, const: constant }) => values ?? (constant === undefined ? undefined : [constant]);

function breaksOfKeywords(was, is, direction, at) {
  const found = [];
  const [typesA, typesB] = [typesOf(was), typesOf(is)];
  const covers = (types, type) => types.includes(type) || (type === 'integer' && types.includes('number'));
  if (direction === 'in') for (const type of typesA ?? []) if (typesB !== undefined && !covers(typesB, type)) found.push(`${at}: ${type} is not taken any more`);
  if (direction === 'in' && typesA === undefined && typesB !== undefined) found.push(`${at}: only ${typesB.join(' or ')} is taken now`);
  if (direction === 'out' && typesA !== undefined) for (const type of typesB ?? ['anything']) if (!covers(typesA, type)) found.push(`${at}: may be ${type} now`);
  const [valuesA, valuesB] = [valuesOf(was), valuesOf(is)];
  for (const value of valuesA ?? []) if (valuesB !== undefined && !valuesB.some((other) => same(other, value))) found.push(`${at}: ${JSON.stringify(value)} is gone`);
  if (direction === 'in' && valuesA === undefined && valuesB !== undefined) found.push(`${at}: only ${valuesB.length} values are taken now`);
  if (direction === 'out' && valuesA !== undefined) for (const value of valuesB ?? ['any value']) if (!valuesA.some((other) => same(other, value))) found.push(`${at}: may be ${valuesB === undefined ? value : JSON.stringify(value)} now`);
  for (const name of ['pattern', 'format', 'contentEncoding']) {
    if (is[name] !== undefined && was[name] !== is[name] && (direction === 'in' || was[name] !== undefined)) found.push(`${at}: ${name} is another now`);
    if (is[name] === undefined && was[name] !== undefined && direction === 'out') found.push(`${at}: ${name} is not said any more`);
  }
  if (direction === 'in') {
    for (const [name, sign] of Object.entries(LIMITS)) if (is[name] !== undefined && (was[name] === undefined || (is[name] - was[name]) * sign > 0)) found.push(`${at}: ${name} is ${is[name]} now`);
    if (is.uniqueItems === true && was.uniqueItems !== true) found.push(`${at}: uniqueItems is asked now`);
  } else {
    for (const [name, sign] of Object.entries(LIMITS)) {
      if (was[name] !== undefined && is[name] === undefined) found.push(`${at}: ${name} is not said any more`);
      else if ((is[name] - was[name]) * sign < 0) found.push(`${at}: ${name} is ${is[name]} now`);
    }
    if (was.uniqueItems === true && is.uniqueItems !== true) found.push(`${at}: uniqueItems is not said any more`);
  }
  for (const name of new Set([...keysOf(was), ...keysOf(is)])) if (!COMPARED.has(name) && !name.startsWith('x-') && !same(was[name], is[name])) found.push(`${at}: ${name} has changed`);
  return found;
}

function breaksOfParts(was, is, direction, documents, at, done) {
  const found = [];
  const required = (schema) => schema.required ?? [];
  if (direction === 'in') for (const name of required(is)) if (!required(was).includes(name)) found.push(`${at}.${name}: is required now`);
  if (direction === 'out') for (const name of required(was)) if (!required(is).includes(name) && is.properties?.[name] !== undefined) found.push(`${at}.${name}: may be absent now`);
  for (const [name, schema] of Object.entries(was.properties ?? {})) {
    if (is.properties?.[name] === undefined) found.push(`${at}.${name}: is gone`);
    else found.push(...breaksOfSchema(schema, is.properties[name], direction, documents, `${at}.${name}`, done));
  }
  const [restA, restB] = [was.additionalProperties ?? true, is.additionalProperties ?? true];
  if (typeof restA === 'object' && typeof restB === 'object') found.push(...breaksOfSchema(restA, restB, direction, documents, `${at}.*`, done));
  else if (direction === 'in' && restA !== false && restB !== true) found.push(`${at}.*: ${restB === false ? 'nothing else is taken any more' : 'only some of it is taken now'}`);
  else if (direction === 'out' && typeof restA === 'object' && restB === true) found.push(`${at}.*: may be anything now`);
  if (was.propertyNames !== undefined && is.propertyNames !== undefined) found.push(...breaksOfSchema(was.propertyNames, is.propertyNames, direction, documents, `${at}.(name)`, done));
  else if (direction === 'in' && is.propertyNames !== undefined) found.push(`${at}.(name): only some are taken now`);
  else if (direction === 'out' && was.propertyNames !== undefined) found.push(`${at}.(name): may be any now`);
  if (was.items !== undefined && is.items !== undefined) found.push(...breaksOfSchema(was.items, is.items, direction, documents, `${at}[]`, done));
  else if (direction === 'in' && is.items !== undefined) found.push(`${at}[]: only some are taken now`);
  else if (direction === 'out' && was.items !== undefined) found.push(`${at}[]: may be anything now`);
  return found;
}

/** OpenAPI: what is asked is `in`, and what is answered is `out`. */
export function breaksOfOpenApi(was, is) {
  const documents = { was, is };
  const done = new Set();
  const found = breaksOfSecurity(was, is);
  for (const [path, methods] of Object.entries(was.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const at = `${method.toUpperCase()} ${path}`;
      const now = is.paths[path]?.[method];
      if (now === undefined) found.push(`${at}: is gone`);
      else found.push(...breaksOfParameters(operation.parameters ?? [], now.parameters ?? [], documents, at, done), ...breaksOfBody(operation.requestBody, now.requestBody, documents, at, done), ...breaksOfResponses(operation.responses, now.responses, documents, at, done), ...(same(operation.security, now.security) ? [] : [`${at}: security has changed`]));
    }
  }
  return found;
}

/** How one shows who one is: what each scheme is, and which there are. */
function breaksOfSecurity({ components: was, security: wasAsked }, { components: is, security: isAsked }) {
  const found = Object.entries(was?.securitySchemes ?? {}).filter(([name, scheme]) => !sameBut(scheme, is?.securitySchemes?.[name])).map(([name]) => `security scheme ${name}: ${is?.securitySchemes?.[name] === undefined ? 'is gone' : 'has changed'}`);
  return same(wasAsked, isAsked) ? found : [...found, 'security has changed'];
}

function breaksOfParameters(was, is, documents, at, done) {
  const key = (parameter) => `${parameter.in} ${parameter.name}`;
  const [before, now] = [was, is].map((all, n) => new Map(all.map((one) => resolved(one, n === 0 ? documents.was : documents.is)).map((one) => [key(one), one])));
  const found = [...now].filter(([name, one]) => one.required === true && before.get(name)?.required !== true).map(([name]) => `${at} ${name}: is required now`);
  for (const [name, one] of before) found.push(...(now.has(name) ? breaksOfSchema(one.schema, now.get(name).schema, 'in', documents, `${at} ${name}`, done) : [`${at} ${name}: is gone`]));
  return found;
}

function breaksOfBody(was, is, documents, at, done) {
  if (is === undefined) return was === undefined ? [] : [`${at} request: is gone`];
  const found = is.required === true && was?.required !== true ? [`${at} request: is required now`] : [];
  return was === undefined ? found : [...found, ...breaksOfContent(was.content, is.content, 'in', documents, `${at} request`, done)];
}

function breaksOfResponses(was, is, documents, at, done) {
  return Object.entries(was).flatMap(([status, stated]) => {
    if (is[status] === undefined) return [`${at} ${status}: is gone`];
    const [response, now] = [resolved(stated, documents.was), resolved(is[status], documents.is)];
    return [...breaksOfHeaders(response.headers, now.headers, documents, `${at} ${status}`, done), ...breaksOfContent(response.content, now.content, 'out', documents, `${at} ${status}`, done)];
  });
}

/** Names of headers are the same in any case. @see RFC 9110 §5.1 */
function breaksOfHeaders(was, is, documents, at, done) {
  const now = new Map(Object.entries(is ?? {}).map(([name, header]) => [name.toLowerCase(), resolved(header, documents.is)]));
  return Object.entries(was ?? {}).flatMap(([name, stated]) => {
    const [header, other] = [resolved(stated, documents.was), now.get(name.toLowerCase())];
    const where = `${at} header ${name}`;
    if (other === undefined) return [`${where}: is gone`];
    const absent = header.required === true && other.required !== true ? [`${where}: may be absent now`] : [];
    return [...absent, ...breaksOfStated(header, other, 'out', documents, where, done), ...breaksOfContent(header.content, other.content, 'out', documents, where, done)];
  });
}

function breaksOfContent(was, is, direction, documents, at, done) {
  return Object.entries(was ?? {}).flatMap(([type, stated]) => (is?.[type] === undefined ? [`${at} ${type}: is gone`] : breaksOfStated(stated, is[type], direction, documents, at, done)));
}

/** The schemas of two, where either has one. */
function breaksOfStated({ schema: was }, { schema: is }, direction, documents, at, done) {
  if (was === undefined || is === undefined) return same(was, is) ? [] : [`${at}: schema has changed`];
  return breaksOfSchema(was, is, direction, documents, at, done);
}

/** What is sent, or answered, still is. */
function breaksOfExchange(was, is, at) {
  const gone = was.messages.filter(({ $ref }) => !is.messages.some((one) => one.$ref === $ref)).map(({ $ref }) => `${at} ${$ref.split('/').at(-1)}: is gone`);
  if (was.reply === undefined) return gone;
  if (is.reply === undefined || was.reply.channel?.$ref !== is.reply.channel?.$ref) return [...gone, `${at} reply: ${is.reply === undefined ? 'is gone' : 'has changed'}`];
  return [...gone, ...breaksOfExchange({ messages: was.reply.messages }, { messages: is.reply.messages }, `${at} reply`)];
}

/** AsyncAPI: a message that some operation sends and another receives is held to both. What a reader of the document sends is `in`. */
export function breaksOfAsyncApi(was, is) {
  const documents = { was, is };
  const found = breaksOfSecurity(was, is);
  for (const [name, channel] of Object.entries(was.channels)) {
    const now = is.channels[name];
    if (now === undefined) {
      found.push(`channel ${name}: is gone`);
      continue;
    }
    for (const member of ['address', 'x-stream', 'x-consumer']) if (!same(channel[member], now[member])) found.push(`channel ${name}: ${member} has changed`);
    // What stands in the address for whom or what it is about.
    for (const [parameter, stated] of Object.entries(channel.parameters ?? {})) {
      const other = now.parameters?.[parameter];
      if (other === undefined || !sameBut(resolved(stated, was), resolved(other, is))) found.push(`channel ${name} parameter ${parameter}: ${other === undefined ? 'is gone' : 'has changed'}`);
    }
    for (const message of keysOf(channel.messages)) if (now.messages?.[message] === undefined) found.push(`channel ${name} message ${message}: is gone`);
  }
  const done = new Set();
  const directions = new Map();
  const noted = (references, direction) => references.forEach(({ $ref }) => directions.set($ref, new Set([...(directions.get($ref) ?? []), direction])));
  for (const [name, operation] of Object.entries(was.operations)) {
    const now = is.operations[name];
    if (now === undefined || operation.action !== now.action || operation.channel.$ref !== now.channel.$ref) found.push(`operation ${name}: ${now === undefined ? 'is gone' : 'has changed'}`);
    else found.push(...breaksOfExchange(operation, now, `operation ${name}`));
    noted(operation.messages, operation.action === 'send' ? 'in' : 'out');
    if (operation.reply !== undefined) noted(operation.reply.messages, operation.action === 'send' ? 'out' : 'in');
  }
  for (const [reference, both] of directions) {
    const [, , channel, , message] = reference.split('/');
    if (is.channels[channel]?.messages?.[message] === undefined) continue;
    const [before, now] = [resolved({ $ref: reference }, was), resolved({ $ref: reference }, is)];
    if (before.contentType !== now.contentType) found.push(`message ${message}: contentType has changed`);
    for (const part of ['payload', 'headers']) {
      if (before[part] === undefined || now[part] === undefined) found.push(...(same(before[part], now[part]) ? [] : [`message ${message} ${part}: has changed`]));
      else for (const direction of both) found.push(...breaksOfSchema(before[part], now[part], direction, documents, `message ${message}${part === 'headers' ? ' header' : ''}`, done));
    }
  }
  return [...new Set(found)];
}
