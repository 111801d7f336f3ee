package meshfast.peer;

import com.alibaba.com.caucho.hessian.io.Hessian2Output;
import com.alibaba.com.caucho.hessian.io.SerializerFactory;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.Serializable;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.ZonedDateTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.BitSet;
import java.util.Calendar;
import java.util.Collection;
import java.util.Date;
import java.util.GregorianCalendar;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.LinkedList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.UUID;

/**
 * Writes Hessian2 bodies as the SDK's own encoder does: a body's values are told as one JSON line on stdin, its bytes
 * and where each value ends are one line on stdout. tests/hessian/README.md tells how a value is told.
 */
public final class Values {
  static class Node implements Serializable {
    int number;
    Object left;
    Object right;
  }

  static class C0 extends Node {}
  static class C1 extends Node {}
  static class C2 extends Node {}
  static class C3 extends Node {}
  static class C4 extends Node {}
  static class C5 extends Node {}
  static class C6 extends Node {}
  static class C7 extends Node {}
  static class C8 extends Node {}
  static class C9 extends Node {}
  static class C10 extends Node {}
  static class C11 extends Node {}
  static class C12 extends Node {}
  static class C13 extends Node {}
  static class C14 extends Node {}
  static class C15 extends Node {}
  static class C16 extends Node {}
  static class C17 extends Node {}
  static class C18 extends Node {}
  static class C19 extends Node {}

  static class Nothing implements Serializable {}

  enum Colour { RED, GREEN, BLUE }

  private final List<Object> made = new ArrayList<>();

  private Object make(JsonArray told) throws Exception {
    JsonElement value = told.size() > 1 ? told.get(1) : null;
    switch (told.get(0).getAsString()) {
      case "N":
        return null;
      case "Z":
        return value.getAsBoolean();
      case "I":
        return value.getAsInt();
      case "J":
        return Long.parseLong(value.getAsString());
      case "D":
        return number(value.getAsString());
      case "T":
        return new Date(Long.parseLong(value.getAsString()));
      case "S":
        return value.getAsString().repeat(told.get(2).getAsInt());
      case "B":
        byte[] bytes = new byte[told.get(2).getAsInt()];
        Arrays.fill(bytes, (byte) value.getAsInt());
        return bytes;
      case "L":
        return list(value.getAsString(), told.get(2).getAsJsonArray());
      case "M":
        return map(value.getAsString(), told.get(2).getAsJsonArray());
      case "O":
        return object(value.getAsInt(), told.get(2).getAsJsonArray());
      case "0":
        return added(new Nothing());
      case "E":
        return added(Colour.valueOf(value.getAsString()));
      case "X":
        return thrown(value.getAsString());
      case "G":
        return added(new BigDecimal(value.getAsString()));
      case "R":
        return made.get(value.getAsInt());
      case "P":
        return pile(value.getAsString(), told.get(2).getAsInt());
      case "V":
        return various(value.getAsInt());
      default:
        throw new IllegalArgumentException(told.toString());
    }
  }

  private static double number(String text) {
    switch (text) {
      case "nan":
        return Double.NaN;
      case "inf":
        return Double.POSITIVE_INFINITY;
      case "-inf":
        return Double.NEGATIVE_INFINITY;
      default:
        return Double.parseDouble(text);
    }
  }

  private <T> T added(T object) {
    made.add(object);
    return object;
  }

  private Object list(String kind, JsonArray told) throws Exception {
    switch (kind) {
      case "ints":
        int[] ints = added(new int[told.size()]);
        for (int i = 0; i < ints.length; i++) {
          ints[i] = told.get(i).getAsJsonArray().get(1).getAsInt();
        }
        return ints;
      case "objects":
        Object[] objects = added(new Object[told.size()]);
        for (int i = 0; i < objects.length; i++) {
          objects[i] = make(told.get(i).getAsJsonArray());
        }
        return objects;
      case "iterator":
        List<Object> items = new ArrayList<>();
        int place = made.size();
        made.add(null);
        fill(items, told);
        made.set(place, items.iterator());
        return made.get(place);
      default:
        Collection<Object> filled =
            kind.equals("linked") ? new LinkedList<>() : kind.equals("set") ? new LinkedHashSet<>() : new ArrayList<>();
        return fill(added(filled), told);
    }
  }

  private Collection<Object> fill(Collection<Object> to, JsonArray told) throws Exception {
    for (JsonElement one : told) {
      to.add(make(one.getAsJsonArray()));
    }
    return to;
  }

  private Object map(String kind, JsonArray told) throws Exception {
    Map<Object, Object> map =
        added(kind.equals("tree") ? new TreeMap<>() : kind.equals("linked") ? new LinkedHashMap<>() : new HashMap<>());
    for (JsonElement pair : told) {
      Object key = make(pair.getAsJsonArray().get(0).getAsJsonArray());
      map.put(key, make(pair.getAsJsonArray().get(1).getAsJsonArray()));
    }
    return map;
  }

  private Object object(int number, JsonArray told) throws Exception {
    Node node = (Node) Class.forName(Values.class.getName() + "$C" + number).getDeclaredConstructor().newInstance();
    added(node);
    node.number = number;
    node.left = make(told.get(0).getAsJsonArray());
    node.right = make(told.get(1).getAsJsonArray());
    return node;
  }

  private Object thrown(String message) {
    try {
      deeper(message, 5);
      return null;
    } catch (IllegalStateException caught) {
      return added(caught);
    }
  }

  private static void deeper(String message, int depth) {
    if (depth == 0) {
      throw new IllegalStateException(message, new IllegalArgumentException("cause"));
    }
    deeper(message, depth - 1);
  }

  private Object pile(String kind, int depth) {
    Object inner = null;
    for (int i = 0; i < depth; i++) {
      if (kind.equals("list")) {
        List<Object> list = new ArrayList<>();
        list.add(inner);
        inner = list;
      } else if (kind.equals("map")) {
        Map<Object, Object> map = new HashMap<>();
        map.put("k", inner);
        inner = map;
      } else {
        C0 node = new C0();
        node.left = inner;
        inner = node;
      }
    }
    for (int i = 0; i < depth; i++) {
      made.add(null); /* nobody refers into a pile */
    }
    return inner;
  }

  /* Classes that the encoder treats each in its own way. */
  private Object various(int which) throws Exception {
    Calendar calendar = new GregorianCalendar(2024, Calendar.MARCH, 5);
    Object[] all = {
      new BigInteger("123456789012345678901234567890"), UUID.fromString("00000000-0000-0001-0000-000000000002"),
      Locale.CHINA, calendar, BitSet.valueOf(new long[] {5, 6}), LocalDate.of(2024, 2, 29),
      LocalDateTime.of(2024, 2, 29, 1, 2, 3, 4), Instant.ofEpochSecond(1, 2), Duration.ofMillis(1500),
      ZonedDateTime.of(2024, 2, 29, 1, 2, 3, 4, java.time.ZoneId.of("UTC")), String.class,
      new StackTraceElement("a.B", "m", "B.java", 7), new java.sql.Timestamp(1_700_000_000_123L), (byte) 7, (short) 300,
      'x', 1.5f, new boolean[] {true, false}, new double[] {0, 1, 1.5}, new String[] {"a", null, "c"},
      new long[] {1, 1L << 40}, Arrays.asList(1, 2, 3), java.util.Collections.singletonMap("k", "v"),
      new java.util.concurrent.ConcurrentHashMap<>(Map.of("a", 1)), new char[] {'a', 'é', '上'},
      new Object[][] {{1, "a"}, {}, null}, new java.util.concurrent.atomic.AtomicInteger(3), new short[] {1, 2},
      new Integer[] {1, null}, new float[] {1.5f}, new Date[] {new Date(0)}, List.of("x"), Map.of("k", List.of()),
    };
    return all[which % all.length];
  }

  private JsonObject encode(JsonObject told) throws Exception {
    ByteArrayOutputStream body = new ByteArrayOutputStream();
    Hessian2Output out = new Hessian2Output(body);
    SerializerFactory factory = new SerializerFactory();
    factory.setAllowNonSerializable(true);
    out.setSerializerFactory(factory);
    for (JsonElement text : told.get("strings").getAsJsonArray()) {
      out.writeString(text.getAsString());
    }
    JsonArray ends = new JsonArray();
    for (JsonElement value : told.get("values").getAsJsonArray()) {
      out.writeObject(make(value.getAsJsonArray()));
      out.flushBuffer();
      ends.add(body.size());
    }
    Map<String, String> attachments = new HashMap<>();
    told.get("attachments").getAsJsonObject().entrySet().forEach(e -> attachments.put(e.getKey(), e.getValue().getAsString()));
    out.writeObject(attachments);
    out.flush();
    JsonObject reply = new JsonObject();
    reply.addProperty("body", Base64.getEncoder().encodeToString(body.toByteArray()));
    reply.add("ends", ends);
    return reply;
  }

  private static void run() {
    PrintStream to = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    try (BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        to.println(new Values().encode(JsonParser.parseString(line).getAsJsonObject()));
      }
    } catch (Exception failed) {
      throw new IllegalStateException(failed);
    }
    to.flush();
  }

  /** The encoder goes one call deeper for every value inside a value. */
  public static void main(String[] args) throws InterruptedException {
    Thread deep = new Thread(null, Values::run, "values", 256 << 20);
    deep.start();
    deep.join();
  }
}
