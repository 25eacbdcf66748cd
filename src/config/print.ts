/** The configuration in force, as YAML that says where each value came from. It holds no secret: keys and tokens are files of their own. */
import { Document, isScalar } from 'yaml';
import { CONFIG_KEYS } from './keys.ts';
import type { LoadedConfig } from './load.ts';

/** @returns YAML which, loaded again, is the same configuration */
export function formatConfig({ config, sources, path }: LoadedConfig): string {
  const document = new Document(config);
  document.commentBefore = ` from ${path}`;
  for (const key of CONFIG_KEYS) {
    const node: unknown = document.getIn(key.path.split('.'), true);
    if (!isScalar(node)) continue;
    const source = sources.get(key.path) ?? 'default';
    if (source !== 'file') node.comment = source === 'environment' ? ` ${key.variable ?? ''}` : ` ${source}`;
  }
  return document.toString({ lineWidth: 0 });
}
