import fc from 'fast-check';
import { expect, test } from 'vitest';
import { checkRoleName, formatPolicy, formatSecretId, parsePolicy, parseSecretId } from '../../../src/connectors/openbao/names.ts';
import { TargetError } from '../../../src/executor/connector.ts';

const ACCESSOR = '1ef872fb-f1c8-4c1d-f911-fa91f8598f03';
const TOKEN = 'cs_01jd8v3k5m7n9p1q3r5s7t9v1w';

test.each(['policy:read-app', 'policy:a', 'policy:0', 'policy:team/app.read_only', `policy:${'x'.repeat(128)}`])('%s is a privilege', (text) => {
  expect(formatPolicy(parsePolicy(text))).toBe(text);
});

test.each([
  '', 'policy', 'policy:', 'read-app', 'Policy:read', ' policy:read', 'policy: read', 'policy:read ', 'policy:Read', 'policy:a,b', 'policy:a\nb', 'policy:ä', 'policy:../sys',
  'policy:a//b', 'policy:a/../b', 'policy:a/./b', 'policy:/a', 'policy:a?b', 'policy:a%2fb', 'policy:root', 'policy:default', `policy:${'x'.repeat(129)}`, 'role:app',
])('%j is not a privilege', (text) => {
  expect(() => parsePolicy(text)).toThrow(TargetError);
});

test('no name that is accepted is read by the server in another way than it is written', () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.string({ unit: 'grapheme' }), fc.stringMatching(/^[ -~]{1,12}$/)), (name) => {
    for (const check of [checkRoleName, (text: string) => parsePolicy(`policy:${text}`)]) {
      try {
        expect(check(name)).toBe(name);
      } catch (error) {
        expect(error).toBeInstanceOf(TargetError);
        continue;
      }
      expect(name).toBe(name.trim().toLowerCase());
      expect(name).not.toMatch(/[,?#%\\\s]/);
      expect(new URL(`http://host/v1/x/${name}/y`).pathname).toBe(`/v1/x/${name}/y`);
    }
  }));
});

test.each([`app#${ACCESSOR}`, `a.b-c#${TOKEN}`])('%s is the name of a secret-id', (text) => {
  expect(formatSecretId(parseSecretId(text))).toBe(text);
});

test.each(['', 'app', 'app#', `#${TOKEN}`, `app#${TOKEN}#`, `app#${TOKEN.toUpperCase()}`, 'app#../../x', `App#${ACCESSOR}`, `app/x#${ACCESSOR}`])('%j is not the name of a secret-id', (text) => {
  expect(() => parseSecretId(text)).toThrow(TargetError);
});
