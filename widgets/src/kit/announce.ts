// A live region: what happened, for those who do not see it.

export type Announce = (text: string) => void;

/** Add a polite live region to the root and return the function that speaks through it. */
export function announcer(root: HTMLElement): Announce {
  const region = root.ownerDocument.createElement("div");
  region.className = "b2b-hidden";
  region.setAttribute("role", "status");
  region.setAttribute("aria-live", "polite");
  root.append(region);
  return (text) => {
    region.textContent = text;
  };
}
