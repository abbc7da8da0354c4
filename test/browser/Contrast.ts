/** The texts on the screen whose colour is too near to what is behind them. Runs in the page. */
export const faint = (): ReadonlyArray<string> => {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true })!
  const rgba = (colour: string, over: ReadonlyArray<number>): ReadonlyArray<number> => {
    context.fillStyle = `rgb(${over.join(",")})`
    context.fillRect(0, 0, 1, 1)
    context.fillStyle = colour
    context.fillRect(0, 0, 1, 1)
    return Array.from(context.getImageData(0, 0, 1, 1).data).slice(0, 3)
  }
  const luminance = (colour: ReadonlyArray<number>): number =>
    colour
      .map((value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4))
      .reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index]!, 0)
  const behind = (element: Element): ReadonlyArray<number> => {
    const above: Array<Element> = []
    for (let next: Element | null = element; next !== null; next = next.parentElement) {
      above.push(next)
    }
    return above
      .toReversed()
      .reduce<ReadonlyArray<number>>(
        (over, next) => rgba(getComputedStyle(next).backgroundColor, over),
        [255, 255, 255]
      )
  }
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  const found: Array<string> = []
  while (texts.nextNode() !== null) {
    const element = texts.currentNode.parentElement!
    const text = texts.currentNode.textContent!.trim()
    if (
      text === "" ||
      element.closest("script, style, noscript, :disabled, option") !== null ||
      !element.checkVisibility()
    ) {
      continue
    }
    const ground = behind(element)
    let opacity = 1
    for (let next: Element | null = element; next !== null; next = next.parentElement) {
      opacity *= Number(getComputedStyle(next).opacity)
    }
    const colour = rgba(getComputedStyle(element).color, ground)
    const seen = colour.map((value, index) => value * opacity + ground[index]! * (1 - opacity))
    const [a, b] = [luminance(seen), luminance(ground)]
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
    if (contrast < 4.5) {
      found.push(`${text.slice(0, 40)} (${element.className}): ${contrast.toFixed(2)}`)
    }
  }
  return found
}
