package meshfast.peer;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.Date;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Every shape a business object commonly has: nesting, itself repeated, numbers, dates, text outside the BMP. */
public class Order implements Serializable {
    private static final long serialVersionUID = 1L;

    private long id;
    private String title;
    private double price;
    private boolean paid;
    private Date at;
    private List<Order> parts = new ArrayList<>();
    private Map<String, Object> notes = new TreeMap<>();

    /** The same for every seed, so that both sides can make it and compare. */
    public static Order of(long seed) {
        Order order = plain(seed);
        Order part = plain(seed + 1);
        order.parts.add(part);
        order.parts.add(part);
        order.parts.add(plain(seed * 1_000_003));
        order.notes.put("text", "caf\u00e9 \u20ac \ud83d\ude00");
        order.notes.put("count", (int) (seed % 70_000));
        order.notes.put("none", null);
        return order;
    }

    private static Order plain(long seed) {
        Order order = new Order();
        order.id = seed;
        order.title = "order-" + seed;
        order.price = seed / 8.0;
        order.paid = seed % 2 == 0;
        order.at = new Date(1_700_000_000_000L + seed);
        return order;
    }

    /** All fields as text: equal orders, equal text. */
    public String describe() {
        StringBuilder text = new StringBuilder();
        text.append(id).append(',').append(title).append(',').append(price).append(',').append(paid).append(',');
        text.append(at == null ? null : at.getTime()).append(',').append(new TreeMap<>(notes)).append('[');
        for (Order part : parts) {
            text.append(part.describe()).append(';');
        }
        return text.append(']').toString();
    }

    public long getId() {
        return id;
    }

    public void setId(long id) {
        this.id = id;
    }

    public String getTitle() {
        return title;
    }

    public void setTitle(String title) {
        this.title = title;
    }

    public double getPrice() {
        return price;
    }

    public void setPrice(double price) {
        this.price = price;
    }

    public boolean isPaid() {
        return paid;
    }

    public void setPaid(boolean paid) {
        this.paid = paid;
    }

    public Date getAt() {
        return at;
    }

    public void setAt(Date at) {
        this.at = at;
    }

    public List<Order> getParts() {
        return parts;
    }

    public void setParts(List<Order> parts) {
        this.parts = parts;
    }

    public Map<String, Object> getNotes() {
        return notes;
    }

    public void setNotes(Map<String, Object> notes) {
        this.notes = notes;
    }
}
