/** Under which subjects a step is on the bus, for as long as this process remembers: how each envelope of it proves is part of its subject. */

export interface PublishedSteps {
  has(subject: string): boolean;
  add(stepId: string, issue: number, subject: string): void;
  /** Forgets what is there of this issue of the step and of those before it, and says where it was. */
  takeOff(stepId: string, issue: number): string[];
}

const REMEMBERED_MAX = 10_000;

export function publishedSteps(): PublishedSteps {
  const issues = new Map<string, number>();
  const byStep = new Map<string, Set<string>>();
  const forget = (stepId: string, subject: string): void => {
    issues.delete(subject);
    byStep.get(stepId)?.delete(subject);
    if (byStep.get(stepId)?.size === 0) byStep.delete(stepId);
  };
  return {
    has: (subject) => issues.has(subject),
    add(stepId, issue, subject) {
      issues.set(subject, issue);
      byStep.set(stepId, (byStep.get(stepId) ?? new Set()).add(subject));
      const [oldest] = byStep;
      if (issues.size > REMEMBERED_MAX && oldest !== undefined) for (const old of oldest[1]) forget(oldest[0], old);
    },
    takeOff(stepId, issue) {
      const found = [...(byStep.get(stepId) ?? [])].filter((subject) => issues.get(subject)! <= issue);
      for (const subject of found) forget(stepId, subject);
      return found;
    },
  };
}
