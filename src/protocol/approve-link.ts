/** Where whoever is asked to approve looks at a change and signs: the page of the sidecar. Whom it lets do so, a link says nothing of. */
export function approveLink(publicUrl: string, changeId: string): string {
  return `${publicUrl}/approve#${changeId}`;
}
