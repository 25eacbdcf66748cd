/** Every key of the configuration as a dotted path, and the environment variable that sets it. */
import { z } from 'zod';
import { configSchema } from './schema.ts';

export interface ConfigKey {
  /** `listen.port` */
  readonly path: string;
  /** `COUNTERSIGN_LISTEN_PORT`; null for what only the file can say (lists of objects). */
  readonly variable: string | null;
  readonly kind: 'text' | 'number' | 'list' | 'objects';
}

interface Shape {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Shape>>;
  readonly items?: Shape;
}

/** In the order of the schema. */
export const CONFIG_KEYS: readonly ConfigKey[] = keysOf(z.toJSONSchema(configSchema, { io: 'input' }) as Shape, []);

function keysOf(shape: Shape, path: readonly string[]): ConfigKey[] {
  if (shape.properties !== undefined) return Object.entries(shape.properties).flatMap(([name, inner]) => keysOf(inner, [...path, name]));
  const kind = shape.type === 'integer' ? 'number' : shape.type !== 'array' ? 'text' : shape.items?.type === 'string' ? 'list' : 'objects';
  return [{ path: path.join('.'), variable: kind === 'objects' ? null : variableOf(path), kind }];
}

function variableOf(path: readonly string[]): string {
  return `COUNTERSIGN_${path.map((name) => name.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()).join('_')}`;
}
