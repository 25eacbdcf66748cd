import { describe, expect, test } from 'vitest';
import { pathsIn } from '../../../src/connectors/openbao/in-force.ts';

describe('paths at which a policy allows something', () => {
  test.each([
    ['HCL', 'path "secret/data/app" { capabilities = ["read"] }\n\npath "secret/metadata/*" {\n  capabilities = ["list", "read"]\n}', ['secret/data/app', 'secret/metadata/*']],
    ['JSON', '{"path": {"secret/data/app": {"capabilities": ["read"]}}}', ['secret/data/app']],
    ['parameters beside', 'path "a" { allowed_parameters = { "b" = ["c"] }\n capabilities = ["update"] }\npath "d" { capabilities = ["read"] }', ['a', 'd']],
    ['comments', '# path "no" { capabilities = ["read"] }\n  // path "nor" { capabilities = ["read"] }\npath "yes" { capabilities = ["read"] }', ['yes']],
    ['what denies', 'path "secret/*" { capabilities = ["deny"] }\npath "app" { capabilities = ["read"] }', ['app']],
    ['nothing allowed', 'path "app" { capabilities = [] }', []],
    ['paths of each bearer', 'path "secret/{{identity.entity.id}}" { capabilities = ["read"] }', []],
    ['no rules', '', []],
  ])('%s', (_, policy, paths) => {
    expect(pathsIn(policy)).toEqual(paths);
  });
});
