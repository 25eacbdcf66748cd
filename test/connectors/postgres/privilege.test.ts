import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatPrivilege, parsePrivilege } from '../../../src/connectors/postgres/privilege.ts';
import { TargetError } from '../../../src/executor/connector.ts';

test.each([
  ['role:deploy', { kind: 'role', role: 'deploy' }],
  ['role:a:b.c', { kind: 'role', role: 'a:b.c' }],
  ['table:public.orders:SELECT', { kind: 'table', schema: 'public', name: 'orders', word: 'SELECT' }],
  ['table:My Schema."quoted":x:TRUNCATE', { kind: 'table', schema: 'My Schema', name: '"quoted":x', word: 'TRUNCATE' }],
  ['schema:sales:USAGE', { kind: 'schema', schema: 'sales', word: 'USAGE' }],
  ['schema:sales.eu:CREATE', { kind: 'schema', schema: 'sales.eu', word: 'CREATE' }],
  ['database:TEMPORARY', { kind: 'database', word: 'TEMPORARY' }],
  ['sequence:public.ids:UPDATE', { kind: 'sequence', schema: 'public', name: 'ids', word: 'UPDATE' }],
])('%s is a privilege', (text, privilege) => {
  expect(parsePrivilege(text)).toEqual(privilege);
});

test.each([
  '', 'role', 'role:', 'deploy', 'Role:deploy', ' role:deploy', 'role:public', 'role:none', 'role:a\nb', 'table:orders:SELECT', 'table:a.b.c:SELECT',
  'table:public.orders', 'table:public.orders:', 'table:public.orders:select', 'table:public.orders:SELECT ', 'table:public.orders:ALL',
  'table:public.orders:SELECT, DELETE', 'table:.orders:SELECT', 'table:public.:SELECT', 'table:public.orders:MAINTAIN', 'schema:sales:ALL', 'schema::USAGE',
  'database:app:CONNECT', 'database:TEMP', 'sequence:public.ids:INSERT', 'attribute:SUPERUSER', 'function:public.f:EXECUTE', `role:${'x'.repeat(64)}`,
])('%j is not a privilege', (text) => {
  expect(() => parsePrivilege(text)).toThrow(TargetError);
});

test('every privilege has one spelling', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'grapheme' }), fc.string()), fc.constantFrom('role:%', 'table:%.t:SELECT', 'table:s.%:DELETE', 'schema:%:USAGE', 'sequence:s.%:USAGE'), (name, form) => {
      const text = form.replace('%', () => name);
      let parsed;
      try {
        parsed = parsePrivilege(text);
      } catch {
        return;
      }
      // Direction characters are names to a server, but nothing that may be shown to an approver as it stands.
      if (!/[\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/.test(text) && parsed.kind !== 'schema') expect(formatPrivilege(parsed)).toBe(text);
    }),
  );
});

test('a name that cannot be asked for is shown without its dots and control characters', () => {
  expect(formatPrivilege({ kind: 'table', schema: 'a.b', name: 'c\u001b[2J', word: 'SELECT' })).toBe('table:a\\u{2e}b.c\\u{1b}[2J:SELECT');
});
