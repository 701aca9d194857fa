// German.

export const DE = {
  "again": "erneut",
  "all": "alle",
  "Ask them": "Nachfragen",
  "A sandbox is a slice of the databases, and of the events, that belongs to one developer for a while.":
    "Eine Sandbox ist ein Stück der Datenbanken und der Ereignisse, das einer Entwicklerin für eine Weile gehört.",
  "Clear": "Leeren",
  "copied": "kopiert",
  "copy": "kopieren",
  "Create the first one": "Die erste anlegen",
  "creating": "entsteht",
  "destroying": "wird gelöscht",
  "Events": "Ereignisse",
  "Events of": "Ereignisse von",
  "expired": "abgelaufen",
  "expires": "läuft ab",
  "Expire soon": "Bald ablaufen",
  "no server bound": "kein Server gebunden",
  "Nothing yet. Write something in a server that is bound to a sandbox.":
    "Noch nichts. Schreib etwas in einem Server, der an eine Sandbox gebunden ist.",
  "{owner}’s": "von {owner}",
  "Payload": "Inhalt",
  "pending": "vorgemerkt",
  "running": "läuft",
  "Sandboxes": "Sandboxen",
  "Sandboxes and events": "Sandboxen und Ereignisse",
  "“/sandbox connect” attaches a .env file. Beside it:": "„/sandbox zugang“ hängt eine .env-Datei an. Daneben:",
  "Send again": "Nochmals senden",
  "Stores": "Speicher",
  "taken by {names}": "genommen von {names}",
  "Your own bot in it": "Dein eigener Bot darin",
};
