import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { directorySchema, type Directory } from '../../src/facts/schemas.ts';
import { identitySchema, type IssuerConfig } from '../../src/identity/issuer-config.ts';
import { mapClaims, type Claims } from '../../src/identity/map-claims.ts';

interface Block {
  readonly what: string;
  readonly text: string;
}
let blocks: Block[];
let issuers: IssuerConfig[];
beforeAll(async () => {
  const page = await readFile(join(import.meta.dirname, '../../docs/identity.md'), 'utf8');
  blocks = [...page.matchAll(/<!-- ([^\n]*) -->\n```[a-z]*\n([^]*?)```/g)].map((match) => ({ what: match[1]!, text: match[2]! }));
  expect(blocks.length).toBe([...page.matchAll(/```[a-z]+\n/g)].length);
  issuers = of('configuration').flatMap(({ text }) => identitySchema.parse((parse(text) as { identity: unknown }).identity).issuers);
});
const of = (what: string): Block[] => blocks.filter((block) => block.what.startsWith(what));

describe('the page on identity', () => {
  it('has configurations that are taken, of each kind', () => {
    expect(issuers.map(({ mapping }) => mapping.kind)).toEqual(['person', 'github-actions', 'kubernetes', 'spiffe', 'person']);
  });

  it('has a directory by which either account is one person', () => {
    const directory: Directory = directorySchema.parse(parse(of('directory')[0]!.text));
    for (const sub of ['8f14e45f', 'c9f0f895']) expect(mapClaims(issuers[0]!, { sub }, directory)).toEqual({ principal: 'person:ana', roles: ['caller', 'approver', 'operator'] });
  });

  it('has claims that stand for whom it says', () => {
    const claims = of('claims:');
    expect(claims).toHaveLength(3);
    for (const { what, text } of claims) {
      const [, issuer, principal] = what.split(' ');
      const config = issuers.find((one) => one.issuer === issuer)!;
      expect(mapClaims(config, JSON.parse(text) as Claims, { v: 1, people: [], teams: [] }), what).toEqual({ principal, roles: ['caller'] });
    }
  });

  it('has a job and a pod that ask for a token of the audience that is configured', () => {
    const workflow = parse(of('workflow')[0]!.text) as { permissions: object; jobs: { rotate: { environment: string; steps: { run: string }[] } } };
    const [, github, kubernetes] = issuers;
    expect(workflow.permissions).toEqual({ 'id-token': 'write' });
    expect(workflow.jobs.rotate.steps[0]!.run).toContain(`&audience=${github!.audience}"`);
    const pod = parse(of('pod')[0]!.text) as { metadata: { namespace: string }; spec: { serviceAccountName: string; volumes: { projected: { sources: { serviceAccountToken: { audience: string; path: string } }[] } }[] } };
    const { audience, path } = pod.spec.volumes[0]!.projected.sources[0]!.serviceAccountToken;
    expect([audience, path]).toEqual([kubernetes!.audience, 'token']);
    expect(kubernetes!.mapping).toMatchObject({ rules: [{ namespace: pod.metadata.namespace, serviceAccount: pod.spec.serviceAccountName }] });
  });
});
