/**
 * Pods of a manifest without a cluster: each container is a process, with the arguments, environment, files and modes that it would have, and the paths of
 * its mounts in a directory. What is not tried so: images, other users, the network, and what a kubelet and a scheduler do.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';

interface Probe {
  readonly exec: { readonly command: readonly string[] };
}
export interface Container {
  readonly name: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value: string }[];
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
  readonly startupProbe?: Probe;
  readonly livenessProbe?: Probe;
  readonly readinessProbe?: Probe;
}
interface Volume {
  readonly name: string;
  readonly secret?: { readonly secretName: string };
  readonly configMap?: { readonly name: string };
  readonly emptyDir?: object;
  readonly persistentVolumeClaim?: { readonly claimName: string };
  readonly projected?: { readonly sources: readonly [{ readonly serviceAccountToken: { readonly path: string; readonly audience: string } }] };
}
interface PodSpec {
  readonly serviceAccountName: string;
  readonly initContainers: readonly Container[];
  readonly containers: readonly Container[];
  readonly volumes: readonly Volume[];
}
export interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: { readonly template?: { readonly spec: PodSpec } };
}

export function readManifests(file: string): Manifest[] {
  return parseAllDocuments(readFileSync(file, 'utf8')).map((document) => document.toJS() as Manifest);
}

export interface Cluster {
  /** Short: sockets are below it. */
  readonly directory: string;
  /** By namespace, kind and name, the files of each: `orders/secret/countersign-sidecar`. A pod has those of its own namespace alone. */
  readonly objects: string;
  /** What stands in a manifest, and in a ConfigMap, for what is elsewhere here; each is there at least once. */
  readonly elsewhere: Readonly<Record<string, string>>;
  /** A token as the cluster gives it to a pod. */
  readonly tokenFor: (namespace: string, serviceAccount: string, audience: string) => Promise<string>;
}

export interface Pod {
  container(name: string): Container;
  /** The text, with every path of this container's mounts where that is here. */
  mapped(container: Container, text: string): string;
  /** What a process of this container is started with. */
  words(container: Container): string[];
  env(container: Container): Record<string, string>;
}

const MODES = { secret: 0o440, configMap: 0o644, token: 0o640 } as const;

/** Its volumes are laid out as a kubelet does with an `fsGroup`, its one-time init containers have run, and nothing else is started. @throws Error where something that it mounts is not there */
export async function layOutPod(manifests: readonly Manifest[], deployment: string, cluster: Cluster): Promise<Pod> {
  const found = manifests.find(({ kind, metadata }) => kind === 'Deployment' && metadata.name === deployment);
  const spec = found?.spec?.template?.spec;
  if (found === undefined || spec === undefined) throw new Error(`no Deployment ${deployment}`);
  const { namespace } = found.metadata;
  const at = (volume: string): string => join(cluster.directory, deployment.slice(0, 12), volume);
  const all = [...spec.initContainers, ...spec.containers];
  const mapped = (container: Container, text: string): string => {
    const places = [...container.volumeMounts].sort((a, b) => b.mountPath.length - a.mountPath.length);
    return places.reduce((mappedText, { name, mountPath }) => mappedText.replaceAll(mountPath, at(name)), text);
  };
  const put = (volume: string, name: string, content: string | Uint8Array, mode: number): void => {
    writeFileSync(join(at(volume), name), content);
    chmodSync(join(at(volume), name), mode);
  };
  for (const volume of spec.volumes) {
    mkdirSync(at(volume.name), { recursive: true });
    // As it is mounted: everybody's, whatever the files in it are.
    chmodSync(at(volume.name), 0o777);
    if (volume.secret !== undefined || volume.configMap !== undefined) {
      const [kind, name] = volume.secret !== undefined ? ['secret', volume.secret.secretName] as const : ['configMap', volume.configMap!.name] as const;
      const inManifest = manifests.find((one) => one.kind === 'ConfigMap' && one.metadata.name === name && one.metadata.namespace === namespace && kind === 'configMap')?.data;
      // Whoever mounts a configuration reads it by its own mounts.
      const reader = all.find(({ name: of, volumeMounts }) => of !== 'lay-out' && volumeMounts.some((mount) => mount.name === volume.name));
      for (const [file, text] of Object.entries(inManifest ?? {})) put(volume.name, file, mapped(reader!, elsewhere(text, cluster.elsewhere)), MODES[kind]);
      if (inManifest !== undefined) continue;
      const folder = join(cluster.objects, namespace, kind.toLowerCase(), name);
      for (const file of readdirSync(folder)) put(volume.name, file, readFileSync(join(folder, file)), MODES[kind]);
    }
    if (volume.projected !== undefined) {
      const [{ serviceAccountToken: { path, audience } }] = volume.projected.sources;
      put(volume.name, path, await cluster.tokenFor(namespace, spec.serviceAccountName, audience), MODES.token);
    }
  }
  const pod: Pod = {
    mapped,
    container: (name) => {
      const container = all.find((one) => one.name === name);
      if (container === undefined) throw new Error(`${deployment} has no container ${name}`);
      return container;
    },
    words: (container) => [...(container.command ?? []), ...(container.args ?? [])].map((word) => mapped(container, word)),
    env: (container) => Object.fromEntries((container.env ?? []).map(({ name, value }) => [name, mapped(container, value)])),
  };
  const [command, ...args] = pod.words(pod.container('lay-out'));
  execFileSync(command!, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  return pod;
}

function elsewhere(text: string, places: Cluster['elsewhere']): string {
  return Object.entries(places).reduce((mapped, [there, here]) => mapped.replaceAll(there, here), text);
}
